"""What the driver says about memory."""

import pytest

from stargan_rt.cuda.memory import is_out_of_memory


@pytest.mark.parametrize(
    "text",
    [
        "CUDA_ERROR_OUT_OF_MEMORY: The API call failed",
        "Error Code 1: Cuda Runtime (out of memory)",
        "Failed to allocate memory from pool",
        "Error Code 2: OutOfMemory (Requested size was 3 bytes.)",
    ],
)
def test_out_of_memory_is_recognised(text):
    assert is_out_of_memory("something", text)
    assert not is_out_of_memory("CUDA_ERROR_ILLEGAL_ADDRESS")

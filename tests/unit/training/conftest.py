import os

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Networks of these tests are so small that threads of PyTorch only wait for each other, in subprocesses too."""
    before = os.environ.get("OMP_NUM_THREADS")
    threads = torch.get_num_threads()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    os.environ.pop("OMP_NUM_THREADS")
    if before is not None:
        os.environ["OMP_NUM_THREADS"] = before

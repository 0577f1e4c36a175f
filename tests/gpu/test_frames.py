"""The frame kernels against OpenCV."""

import cv2
import numpy as np
import pytest

from stargan_rt import cuda


@pytest.mark.parametrize("box", [(0, 0, 640, 480), (100, 50, 200, 200), (-40, -30, 300, 300), (600, 440, 128, 128)])
@pytest.mark.parametrize("swap", [False, True])
def test_crop_resize_agrees_with_opencv(box, swap):
    from cuda.core import (
        Device,
        DeviceMemoryResource,
        LaunchConfig,
        LegacyPinnedMemoryResource,
        ObjectCode,
        launch,
    )

    frame = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    size = 128
    x, y, width, height = box
    scale_x, scale_y = width / size, height / size
    matrix = np.array([[scale_x, 0, x + 0.5 * scale_x - 0.5], [0, scale_y, y + 0.5 * scale_y - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    expected = cv2.warpAffine(
        frame.astype(np.float32), matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )

    device = Device(0)
    device.set_current()
    stream = device.create_stream()
    kernel = ObjectCode.from_fatbin(str(cuda.FATBIN)).get_kernel("crop_resize")
    pinned, memory = LegacyPinnedMemoryResource(), DeviceMemoryResource(device)
    host_in, host_out = pinned.allocate(frame.nbytes), pinned.allocate(size * size * 3)
    device_in = memory.allocate(frame.nbytes, stream=stream)
    device_out = memory.allocate(size * size * 3, stream=stream)
    np.from_dlpack(host_in).view(np.uint8)[:] = frame.ravel()
    host_in.copy_to(device_in, stream=stream)
    arguments = (device_in, np.int32(480), np.int32(640), np.int64(640 * 3), *map(np.float32, box))
    config = LaunchConfig(grid=(size // 16, size // 16), block=(16, 16))
    launch(stream, config, kernel, *arguments, device_out, np.int32(size), np.int32(size), np.int32(swap))
    device_out.copy_to(host_out, stream=stream)
    stream.sync()
    got = np.from_dlpack(host_out).view(np.uint8).reshape(size, size, 3)
    if swap:
        got = got[..., ::-1]
    # OpenCV interpolates with coefficients of 1/32 pixel.
    assert np.abs(got - expected).max() <= 0.5 + 255 * 2 / 32

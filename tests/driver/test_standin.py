"""The stand-in driver keeps the rules of CUDA that the other tests rely on."""

import ctypes

import numpy as np
import pytest
from device_arrays import Array, values


def stream_of(cuda, device):
    return device.create_stream(options=cuda.StreamOptions(nonblocking=True))


def pinned(cuda, text):
    buffer = cuda.LegacyPinnedMemoryResource().allocate(len(text))
    ctypes.memmove(int(buffer.handle), text, len(text))
    return buffer


def content(buffer):
    return ctypes.string_at(int(buffer.handle), int(buffer.size))


def test_work_runs_when_somebody_waits_for_it(cuda, device, driver):
    stream, source = stream_of(cuda, device), pinned(cuda, b"first")
    target = device.allocate(5, stream=stream)
    source.copy_to(target, stream=stream)
    assert driver.ran() == []
    ctypes.memmove(int(source.handle), b"later", 5)  # too early: the copy has not been made
    stream.sync()
    assert driver.ran() == ["copy"]
    assert content(target) == b"later"


def test_streams_are_ordered_by_events_alone(cuda, device, driver):
    first, second = stream_of(cuda, device), stream_of(cuda, device)
    source, between, target = (pinned(cuda, text) for text in (b"right", b"stale", b"empty"))
    source.copy_to(between, stream=first)
    between.copy_to(target, stream=second)
    second.sync()
    assert content(target) == b"stale"
    second.wait(first.record())
    between.copy_to(target, stream=second)
    second.sync()
    assert content(target) == b"right"


def test_nothing_runs_while_a_stream_is_captured(cuda, device, driver):
    stream = stream_of(cuda, device)
    source, target = pinned(cuda, b"first"), pinned(cuda, b"empty")
    builder = stream.create_graph_builder()
    builder.begin_building("thread_local")
    source.copy_to(target, stream=builder)
    graph = builder.end_building().complete()
    builder.close()
    stream.sync()
    assert content(target) == b"empty"
    for text in (b"1", b"2"):
        ctypes.memmove(int(source.handle), text * 5, 5)
        graph.launch(stream)
        stream.sync()
        assert content(target) == text * 5
    graph.close()


def test_what_is_not_allowed_invalidates_a_capture(cuda, device):
    stream = stream_of(cuda, device)
    builder = stream.create_graph_builder()
    builder.begin_building("thread_local")
    with pytest.raises(Exception, match="CAPTURE_UNSUPPORTED"):
        cuda.LegacyPinnedMemoryResource().allocate(10)
    with pytest.raises(Exception, match="invalidated"):
        builder.end_building()
    with pytest.raises(Exception, match="INVALIDATED"):
        builder.close()
    stream.sync()


def test_an_unknown_stream_is_refused(cuda, device):
    stream = stream_of(cuda, device)
    handle = int(stream.handle)
    stream.close()
    for wrong in (handle, 0xBAD0):
        with pytest.raises(Exception, match="INVALID_HANDLE"):
            cuda.Stream.from_handle(wrong).sync()


def test_errors_come_when_asked_for(cuda, device, driver):
    stream = stream_of(cuda, device)
    driver.fail("cuStreamSynchronize", 700, nth=2)
    stream.sync()
    with pytest.raises(Exception, match="ILLEGAL_ADDRESS"):
        stream.sync()
    stream.sync()


def test_memory_is_counted_until_it_is_freed_and_no_pool_keeps_it(cuda, device, driver):
    stream, pinned_before = stream_of(cuda, device), driver.pinned_bytes()
    host, buffer = pinned(cuda, b"12345"), device.allocate(1 << 20, stream=stream)
    assert driver.pinned_bytes() - pinned_before == 5
    held = driver.device_bytes()
    assert held >= 1 << 20
    buffer.close(stream)
    host.close()
    stream.sync()
    assert driver.pinned_bytes() == pinned_before
    assert driver.device_bytes() == held  # cuda.core tells the default pool to keep what is freed


def test_arrays_of_the_tests_lie_on_the_device(device):
    array = Array(np.arange(6, dtype=np.uint8).reshape(2, 3))
    np.testing.assert_array_equal(values(array), [[0, 1, 2], [3, 4, 5]])

"""Lanes on the stand-in driver: real cuda.core, real results, no GPU."""

import ctypes
import gc
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from device_arrays import Array
from inverting_network import LABELS, SIZE, expected, make_engine, make_lanes

from stargan_rt.cuda.graph import ATTEMPTS
from stargan_rt.cuda.lane import BATCH_SIZES
from stargan_rt.cuda.memory import Slots, is_out_of_memory
from stargan_rt.profiling import Profile

SETTINGS = {"devices": 2}


def batch(random, count):
    labels = np.zeros((count, LABELS.dim), np.float32)
    labels[:, 0] = np.arange(count) % 3
    return random.integers(5, 250, (count, *SIZE, 3), np.uint8), labels


def run(lanes, images, labels):
    out = np.empty_like(images)
    lanes.run(images, labels, out)
    return out


def current():
    from cuda.bindings import driver

    return int(driver.cuCtxGetCurrent()[1])


# Batches and graphs


@pytest.mark.parametrize("count", [1, 3, 4, 5, 9])
@pytest.mark.parametrize("smallest", [1, 2])
def test_batches_are_split_and_filled(random, count, smallest):
    lanes, (source,) = make_lanes(batches=(smallest, 4))
    images, labels = batch(random, count)
    for _ in range(3):  # kernel by kernel, captured, replayed
        np.testing.assert_array_equal(run(lanes, images, labels), expected(images, labels))
    assert min(source.batches) >= smallest
    assert max(source.batches) <= 4
    lanes.close()


def test_the_first_batch_is_enqueued_the_second_captured_and_the_rest_replayed(driver, random):
    lanes, (source,) = make_lanes()
    images, labels = batch(random, 1)
    for number in range(4):
        driver.clear()
        np.testing.assert_array_equal(run(lanes, images, labels), expected(images, labels))
        assert driver.ran() == (["copy"] * 3 if number == 0 else ["graph"] + ["copy"] * 3)
        assert ("cuStreamBeginCapture_v2" in driver.calls()) == (number == 1)
    assert driver.calls("Memcpy") == []  # they are in the graph
    assert source.enqueued == 2  # the network itself, and its capture
    assert len(source.connected) == 1
    lanes.close()


def test_every_batch_size_has_its_own_network_and_graph_and_the_oldest_is_dropped(random):
    lanes, (source,) = make_lanes(batches=(1, BATCH_SIZES + 1))
    for count in (*range(1, BATCH_SIZES + 2), 1):
        images, labels = batch(random, count)
        for _ in range(3):
            np.testing.assert_array_equal(run(lanes, images, labels), expected(images, labels))
    assert len(source.connected) == BATCH_SIZES + 2  # 1 was dropped for the last one, and made again
    lanes.close()
    assert source.closed


def test_nothing_is_allocated_in_the_steady_state_and_closing_frees_everything(driver, random):
    gc.collect()
    before = driver.device_bytes(), driver.pinned_bytes()
    lanes, _ = make_lanes(2)
    loaded = driver.device_bytes(), driver.pinned_bytes()
    held = lanes.memory_bytes()
    assert held["device"] == loaded[0] - before[0] == 2 * 4 * (2 * 16 * 24 * 3 + 4 * LABELS.dim)
    assert held["pinned"] == loaded[1] - before[1]
    assert held["free"] < held["total"]
    for count in (1, 4, 2):
        for _ in range(5):
            run(lanes, *batch(random, count))
    assert (driver.device_bytes(), driver.pinned_bytes()) == loaded
    lanes.close()
    assert (driver.device_bytes(), driver.pinned_bytes()) == before  # nothing stays in a pool of the device
    assert len(driver.calls("MemPoolCreate")) == len(driver.calls("MemPoolDestroy")) == 1


def test_results_are_copies_and_may_go_where_the_images_are(random):
    lanes, _ = make_lanes()
    images, labels = batch(random, 2)
    first = run(lanes, images, labels)
    kept = first.copy()
    run(lanes, images // 2, labels)
    np.testing.assert_array_equal(first, kept)
    right = expected(images, labels)
    lanes.run(images, labels, images)
    np.testing.assert_array_equal(images, right)
    lanes.close()


def test_networks_that_capture_themselves_are_left_alone(driver, random):
    lanes, (source,) = make_lanes(capture=False)
    for _ in range(4):
        run(lanes, *batch(random, 2))
    assert "cuGraphLaunch" not in driver.calls()
    assert source.enqueued == 4
    assert lanes.launching() == "kernel by kernel"
    lanes.close()


# Captures that fail


def test_a_capture_that_fails_is_tried_again(driver, random, caplog):
    lanes, _ = make_lanes()
    images, labels = batch(random, 1)
    run(lanes, images, labels)
    driver.fail("cuStreamBeginCapture_v2", 900)
    for _ in range(3):
        np.testing.assert_array_equal(run(lanes, images, labels), expected(images, labels))
    assert "cuGraphLaunch" in driver.calls()
    assert not caplog.records
    assert lanes.launching() == "CUDA graphs"
    lanes.close()


def test_after_three_failures_every_lane_goes_on_without_graphs_and_says_so(driver, random, caplog):
    engine, sources = make_engine(count=2)
    image, _ = batch(random, 1)
    driver.fail("cuStreamBeginCapture_v2", 900, always=True)
    with caplog.at_level(logging.WARNING):
        for _ in range(ATTEMPTS + 3):
            np.testing.assert_array_equal(engine.translate(image[0], "b"), 255 - image[0])
        with engine.profile() as profile:
            engine.translate(image[0], "b")
    (record,) = caplog.records
    assert "refused to capture the network as a graph 3 times" in record.message
    assert "CAPTURE_UNSUPPORTED" in record.message
    assert profile.launching.startswith("kernel by kernel, since capturing failed (CUDAError: CUDA_ERROR_STREAM")
    assert len(driver.calls("BeginCapture")) == ATTEMPTS
    assert sources[0].enqueued == ATTEMPTS + 4
    engine.close()


def test_a_network_that_fails_while_it_is_captured_leaves_the_stream_usable(random):
    lanes, (source,) = make_lanes()
    images, labels = batch(random, 1)
    run(lanes, images, labels)
    failures = iter([RuntimeError("allocates")])

    def in_capture():
        for error in failures:
            raise error

    source.in_capture = in_capture
    for _ in range(3):
        np.testing.assert_array_equal(run(lanes, images, labels), expected(images, labels))
    assert lanes.left == 1
    assert lanes.launching() == "CUDA graphs"
    lanes.close()


def test_garbage_is_not_collected_while_a_graph_is_captured(cuda, driver, random):
    """Freeing pinned memory then would invalidate the capture."""
    lanes, (source,) = make_lanes()
    images, labels = batch(random, 1)
    run(lanes, images, labels)

    class Garbage:
        def __init__(self):
            self.own, self.memory = self, cuda.LegacyPinnedMemoryResource().allocate(10)

    collected = []

    def in_capture():
        before = gc.get_stats()[0]["collections"]
        kept = [[] for _ in range(5000)]  # as many objects as start a collection
        collected.append(gc.get_stats()[0]["collections"] - before)
        del kept

    Garbage()
    source.in_capture = in_capture
    assert gc.isenabled()
    np.testing.assert_array_equal(run(lanes, images, labels), expected(images, labels))
    assert collected == [0]
    assert gc.isenabled()
    assert "cuGraphLaunch" in driver.calls()
    lanes.close()


# Contexts and devices


def test_the_current_context_is_what_it_was(cuda, random):
    from cuda.bindings import driver as bindings

    other = bindings.cuCtxCreate(None, 0, 1)[1] if _new_context_takes_parameters() else bindings.cuCtxCreate(0, 1)[1]
    try:
        mine = current()
        engine, _ = make_engine()
        assert current() == mine
        image, _ = batch(random, 1)
        for _ in range(3):
            np.testing.assert_array_equal(engine.translate(image[0], "b"), 255 - image[0])
            assert current() == mine
        with engine.profile():
            engine.translate(image[0], "b")
        engine.buffers()
        engine.close()
        assert current() == mine
    finally:
        bindings.cuCtxDestroy(other)


def _new_context_takes_parameters():
    import cuda.bindings

    return int(cuda.bindings.__version__.partition(".")[0]) >= 13


def test_a_thread_that_never_saw_cuda_has_no_context_afterwards(random):
    engine, _ = make_engine()
    image, _ = batch(random, 1)

    def work():
        np.testing.assert_array_equal(engine.translate(image[0], "b"), 255 - image[0])
        return current()

    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(work).result() == 0
        threads.submit(engine.close).result()


def test_a_failing_call_leaves_the_context_too(random):
    engine, (source,) = make_engine()
    source.fails = RuntimeError("CUDA_ERROR_LAUNCH_FAILED")

    def work():
        with pytest.raises(RuntimeError, match="LAUNCH_FAILED"):
            engine.translate(batch(random, 1)[0][0], "b")
        return current()

    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(work).result() == 0
    engine.close()


def test_everything_is_on_the_device_that_was_chosen(cuda, driver, random):
    from cuda.bindings import driver as bindings

    before = current()
    driver.clear()
    lanes, sources = make_lanes(device=1)
    images, labels = batch(random, 2)
    np.testing.assert_array_equal(run(lanes, images, labels), expected(images, labels))
    assert current() == before
    ordinal = bindings.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
    for network in sources[0].connected:
        for address in network.addresses.values():
            assert int(bindings.cuPointerGetAttribute(ordinal, address)[1]) == 1
    (pool,) = [line for line in driver.log() if line.name == "cuMemPoolCreate"]
    assert pool.fields["device"] == "1"
    with pytest.raises(Exception, match=r"it is on GPU 0\. Needed is .*on GPU 1; in PyTorch, array\.to\('cuda:1'\)"):
        lanes.run_on_device(Array(images), [labels])
    lanes.close()


# Buffers that are lent


@pytest.mark.parametrize("smallest", [1, 2])
def test_buffers_that_are_lent_are_not_copied(driver, random, smallest):
    lanes, _ = make_lanes(batches=(smallest, 4))
    image, out = lanes.buffers()
    assert image.shape == out.shape == (*SIZE, 3)
    assert not image.any()
    images, labels = batch(random, 1)
    for turn in range(4):
        image[...] = images[0] // (turn + 1)
        driver.clear()
        lanes.run(image[None], labels, out[None])
        np.testing.assert_array_equal(out, 255 - image + labels[0, 0].astype(np.uint8))
        # On the host nothing is copied; the GPU copies from the one and to the other.
        copied = {line.bytes for line in driver.log() if line.ran and line.name == "copy"}
        assert copied == {smallest * image.nbytes, smallest * labels.nbytes}
    # Only the two together; and others are as before.
    kept = out.copy()
    np.testing.assert_array_equal(run(lanes, image[None], labels)[0], kept)
    np.testing.assert_array_equal(run(lanes, images, labels), expected(images, labels))
    np.testing.assert_array_equal(out, kept)
    lanes.close()
    image[...] = 7  # it is still there
    assert out.sum() == kept.sum()


def test_lent_memory_is_freed_with_its_arrays(driver):
    lanes, _ = make_lanes()
    before = driver.pinned_bytes()
    image, out = lanes.buffers()
    assert driver.pinned_bytes() == before + image.nbytes + out.nbytes
    with ThreadPoolExecutor(1) as threads:  # whatever context is current
        holder = [image, out]
        del image, out
        threads.submit(holder.clear).result()
    gc.collect()
    assert driver.pinned_bytes() == before
    lanes.close()


def test_an_engine_lends_buffers(random):
    engine, _ = make_engine()
    image, out = engine.buffers()
    image[...] = batch(random, 1)[0][0]
    assert engine.translate(image, "a", out=out) is out
    np.testing.assert_array_equal(out, 255 - image + 1)
    engine.close()


# Failures


def test_a_failing_network_costs_a_lane_and_the_others_go_on(random):
    lanes, sources = make_lanes(2)
    images, labels = batch(random, 1)
    sources[0].fails = RuntimeError("CUDA_ERROR_LAUNCH_FAILED")
    with pytest.raises(RuntimeError, match="LAUNCH_FAILED"):
        run(lanes, images, labels)
    assert (lanes.left, len(lanes)) == (1, 2)
    np.testing.assert_array_equal(run(lanes, images, labels), expected(images, labels))
    lanes.close()


@pytest.mark.parametrize("function", ["cuStreamSynchronize", "cuMemcpyAsync", "cuLaunchHostFunc"])
def test_an_error_of_cuda_costs_its_lane(driver, random, function):
    lanes, _ = make_lanes(2)
    images, labels = batch(random, 1)
    driver.fail(function, 700)
    with pytest.raises(Exception, match=r"ILLEGAL_ADDRESS|700"):
        run(lanes, images, labels)
    assert lanes.left == 1
    for _ in range(3):
        np.testing.assert_array_equal(run(lanes, images, labels), expected(images, labels))
    lanes.close()


def test_lanes_that_do_not_fit_leave_nothing_behind(driver):
    gc.collect()
    before = driver.device_bytes(), driver.pinned_bytes()
    driver.fail("cuMemAllocFromPoolAsync", 2, nth=5)  # in the second lane
    with pytest.raises(Exception, match=r"OUT_OF_MEMORY|allocate memory from pool") as error:
        make_lanes(2)
    assert is_out_of_memory(str(error.value))
    gc.collect()
    assert (driver.device_bytes(), driver.pinned_bytes()) == before


def test_slots_make_the_host_wait_for_the_oldest_only_when_all_are_in_use(cuda, device, driver):
    slots = Slots(cuda, device, 3, 4, np.float32)
    stream = device.create_stream(options=cuda.StreamOptions(nonblocking=True))
    targets = [device.allocate(8, stream=stream) for _ in range(5)]
    waits = []
    for number, target in enumerate(targets):
        driver.clear()
        slots.upload(np.full((1, 2), number, np.float32), target, stream)
        waits.append(len(driver.calls("EventSynchronize")))
    assert waits == [0, 0, 0, 1, 1]
    stream.sync()
    for number, target in enumerate(targets):
        got = np.frombuffer((ctypes.c_uint8 * 8).from_address(int(target.handle)), np.float32)
        np.testing.assert_array_equal(got, number)
    slots.close()


def test_eight_threads_and_two_engines(random):
    both = [make_lanes(2)[0], make_lanes(3)[0]]
    images, labels = batch(random, 4)

    def work(number):
        return [run(both[(number + turn) % 2], images, labels) for turn in range(10)]

    with ThreadPoolExecutor(8) as threads:
        for results in threads.map(work, range(8)):
            for result in results:
                np.testing.assert_array_equal(result, expected(images, labels))
    for lanes in both:
        lanes.close()


def test_close_waits_for_calls_that_run(random):
    engine, (source,) = make_engine()
    image = batch(random, 1)[0][0]
    entered, go = threading.Event(), threading.Event()
    work = source.connected[0].enqueue

    def enqueue(stream):
        entered.set()
        go.wait(10)
        assert not source.closed
        work(stream)

    source.connected[0].enqueue = enqueue
    with ThreadPoolExecutor(2) as threads:
        working = threads.submit(engine.translate, image, "b")
        entered.wait(10)
        closing = threads.submit(engine.close)
        go.set()
        np.testing.assert_array_equal(working.result(10), 255 - image)
        closing.result(10)
    assert source.closed


# Profiling


def test_a_profiled_run_times_its_stages_and_keeps_copies_out_of_the_graph(driver, random):
    lanes, _ = make_lanes()
    images, labels = batch(random, 5)  # two batches
    profile = Profile()
    for _ in range(3):
        driver.clear()
        with profile.call():
            np.testing.assert_array_equal(run(lanes, images, labels), expected(images, labels))
    times = profile.median()
    assert min(times.h2d_ms, times.compute_ms, times.d2h_ms) > 0
    assert len(profile.calls) == 3
    of_a_batch = ["cuMemcpyAsync"] * 2 + ["cuGraphLaunch", "cuMemcpyAsync"]
    assert driver.calls("Memcpy|GraphLaunch") == of_a_batch * 2
    np.testing.assert_array_equal(run(lanes, images, labels), expected(images, labels))
    lanes.close()

"""Lanes on a pretended GPU: what is computed is real, where it is computed is not."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pretended_cuda import Cuda, Invert

from stargan_rt.cuda.graph import Capturing
from stargan_rt.cuda.lane import BATCH_SIZES, LABEL_SLOTS, Lane
from stargan_rt.cuda.lanes import Lanes
from stargan_rt.cuda.lru import LRU
from stargan_rt.cuda.memory import Slots, is_out_of_memory
from stargan_rt.cuda.pool import Pool
from stargan_rt.errors import InputError, StarGANError
from stargan_rt.profiling import Profile

SIZE, DIM = (16, 24), 3


@pytest.fixture
def cuda():
    return Cuda()


def make(cuda, count=1, batches=(1, 4), capture=True):
    """Lanes, and the source of each one's networks."""
    sources = []

    def connect(stream):
        sources.append(Invert(cuda))
        return sources[-1]

    return Lanes(cuda, cuda.device, connect, SIZE, DIM, batches, count, capture), sources


def batch(random, count):
    labels = np.zeros((count, DIM), np.float32)
    labels[:, 0] = np.arange(count) % 3
    return random.integers(5, 250, (count, *SIZE, 3), np.uint8), labels


def expected(images, labels):
    return 255 - images + labels[:, 0, None, None, None].astype(np.uint8)


def run(lanes, images, labels):
    out = np.empty_like(images)
    lanes.run(images, labels, out)
    return out


def kinds(cuda):
    return [entry[0] for entry in cuda.log]


# LRU


def test_lru_keeps_what_was_used_last():
    dropped = []
    cache = LRU(2, lambda key: key * 10, dropped.append)
    assert [cache.get(key) for key in (1, 2, 1, 3)] == [10, 20, 10, 30]
    assert dropped == [20]
    assert len(cache) == 2
    cache.clear()
    assert dropped == [20, 10, 30]


def test_lru_drops_before_it_makes_and_keeps_nothing_that_failed():
    order = []

    def make(key):
        order.append(("make", key))
        if key == 2:
            raise MemoryError
        return key

    cache = LRU(1, make, lambda value: order.append(("drop", value)))
    cache.get(1)
    with pytest.raises(MemoryError):
        cache.get(2)
    assert order == [("make", 1), ("drop", 1), ("make", 2)]
    assert len(cache) == 0
    with pytest.raises(ValueError, match="at least 1"):
        LRU(0, make, order.append)


# A lane


@pytest.mark.parametrize("count", [1, 3, 4, 5, 9])
@pytest.mark.parametrize("smallest", [1, 2])
def test_batches_are_split_and_filled(cuda, random, count, smallest):
    lanes, _ = make(cuda, batches=(smallest, 4))
    images, labels = batch(random, count)
    for _ in range(3):  # plain, captured, replayed
        np.testing.assert_array_equal(run(lanes, images, labels), expected(images, labels))
    sizes = {entry[1] for entry in cuda.log if entry[0] == "network"}
    assert min(sizes) >= smallest
    assert max(sizes) <= 4
    lanes.close()
    assert cuda.allocated == 0


def test_the_first_batch_is_plain_the_second_captured_and_the_rest_replayed(cuda, random):
    lanes, (source,) = make(cuda)
    images, labels = batch(random, 1)
    plain = ["copy", "copy", "network", "copy", "sync"]
    for number in range(4):
        cuda.log.clear()
        run(lanes, images, labels)
        assert kinds(cuda) == (plain if number == 0 else ["launch", *plain])
    assert source.enqueued == 2  # the network itself, and its capture
    assert len(source.connected) == 1


def test_a_size_of_batch_has_its_own_network_and_graph_and_the_oldest_goes(cuda, random):
    lanes, (source,) = make(cuda, batches=(1, BATCH_SIZES + 1))
    for count in (*range(1, BATCH_SIZES + 2), 1):
        images, labels = batch(random, count)
        for _ in range(3):
            np.testing.assert_array_equal(run(lanes, images, labels), expected(images, labels))
    assert len(source.connected) == BATCH_SIZES + 2  # 1 was dropped for the last one, and made again
    lanes.close()
    assert source.closed


def test_nothing_is_allocated_in_the_steady_state(cuda, random):
    lanes, (source,) = make(cuda)
    loaded = cuda.allocated
    assert loaded == lanes.pinned_bytes + lanes.device_bytes
    for count in (1, 4, 2):
        for _ in range(5):
            run(lanes, *batch(random, count))
    assert cuda.allocated == loaded
    assert source.enqueued == 6
    lanes.close()
    assert cuda.allocated == 0


def test_results_are_copies_and_may_go_where_the_images_are(cuda, random):
    lanes, _ = make(cuda)
    images, labels = batch(random, 2)
    first = run(lanes, images, labels)
    kept = first.copy()
    run(lanes, images // 2, labels)
    np.testing.assert_array_equal(first, kept)
    right = expected(images, labels)
    lanes.run(images, labels, images)
    np.testing.assert_array_equal(images, right)


def test_capture_that_is_refused_is_told_once_and_every_lane_goes_on_plainly(cuda, random, caplog):
    lanes, sources = make(cuda, 2)
    cuda.refuses_capture = True
    images, labels = batch(random, 1)
    with caplog.at_level(logging.WARNING), lanes._pool.taken():  # lane 0 is busy: the other one runs first
        for _ in range(3):
            np.testing.assert_array_equal(run(lanes, images, labels), expected(images, labels))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            run(lanes, images, labels)
    assert [source.enqueued for source in sources] == [3, 3]
    assert lanes.left == 2
    (record,) = caplog.records
    assert "refused to capture" in record.message
    assert "CAPTURE_UNSUPPORTED" in record.message


def test_a_network_that_fails_while_it_is_captured_leaves_the_stream_usable(cuda, random, caplog):
    lanes, (source,) = make(cuda)
    images, labels = batch(random, 1)
    run(lanes, images, labels)
    network = source.connected[0]
    plain = network.enqueue

    def enqueue(stream):
        if stream in cuda.capturing:
            raise RuntimeError("allocates")
        plain(stream)

    network.enqueue = enqueue
    np.testing.assert_array_equal(run(lanes, images, labels), expected(images, labels))
    assert not cuda.capturing
    assert "allocates" in caplog.text


def test_networks_that_capture_themselves_are_left_alone(cuda, random):
    lanes, (source,) = make(cuda, capture=False)
    for _ in range(4):
        run(lanes, *batch(random, 2))
    assert "launch" not in kinds(cuda)
    assert source.enqueued == 4


def test_lanes_that_do_not_fit_leave_nothing_behind(cuda):
    sources = []

    def connect(stream):
        if sources:
            raise MemoryError("out of memory")
        sources.append(Invert(cuda))
        return sources[-1]

    with pytest.raises(MemoryError):
        Lanes(cuda, cuda.device, connect, SIZE, DIM, (1, 4), 2)
    assert cuda.allocated == 0
    assert sources[0].closed


# Slots


def test_slots_make_the_host_wait_for_the_oldest_only_when_all_are_under_way(cuda):
    slots = Slots(cuda, cuda.device, 3, 4, np.float32)
    stream = cuda.device.create_stream(cuda.StreamOptions(nonblocking=True))
    target = cuda.allocate(8)
    for number in range(5):
        slots.upload(np.full((1, 2), number, np.float32), target, stream)
    assert [event.synced for event in slots._copied] == [1, 1, 0]
    assert LABEL_SLOTS > 3


# The pool


class Member:
    def __init__(self, fails=False):
        self.fails, self.closed, self.synced = fails, False, 0

    def sync(self):
        self.synced += 1
        if self.fails:
            raise RuntimeError("sync")

    def close(self):
        self.closed = True
        if self.fails:
            raise RuntimeError("close")


def test_the_first_free_one_comes_first():
    first, second = members = [Member(), Member()]
    pool = Pool(members)
    with pool.taken() as a, pool.taken() as b:
        assert (a, b) == (first, second)
    with pool.taken() as a:
        assert a is first


def test_a_failure_costs_its_member_and_the_last_one_says_to_load_again():
    members = [Member(fails=True), Member()]
    pool = Pool(members)
    for left in (1, 0):
        with pytest.raises(RuntimeError, match="broken"), pool.taken():
            raise RuntimeError("broken")
        assert pool.left == left
    with pytest.raises(StarGANError, match=r"no lane is left.*load the engine again.*broken"), pool.taken():
        pass
    pool.close()
    assert all(member.closed for member in members)


def test_ctrl_c_costs_nothing_but_waits_for_what_is_under_way():
    good, bad = Member(), Member(fails=True)
    for member, left in ((good, 1), (bad, 0)):
        pool = Pool([member])
        with pytest.raises(KeyboardInterrupt), pool.taken():
            raise KeyboardInterrupt
        assert (member.synced, pool.left) == (1, left)


def test_those_who_wait_hear_that_none_is_left():
    pool = Pool([Member()])
    go = threading.Event()

    def fail():
        with pool.taken():
            go.wait()
            raise RuntimeError("broken")

    def take():
        with pool.taken():
            pass

    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(fail)
        while pool._free:
            pass
        waiting = [threads.submit(take) for _ in range(2)]
        go.set()
        assert isinstance(first.exception(10), RuntimeError)
        assert all(isinstance(future.exception(10), StarGANError) for future in waiting)


def test_close_waits_for_those_in_use():
    member = Member()
    pool = Pool([member])
    entered, go = threading.Event(), threading.Event()

    def work():
        with pool.taken():
            entered.set()
            go.wait()
            assert not member.closed

    with ThreadPoolExecutor(2) as threads:
        working = threads.submit(work)
        entered.wait()
        closing = threads.submit(pool.close)
        while not pool._closing:
            pass
        with pytest.raises(InputError, match="closed"), pool.taken():
            pass
        assert not closing.done()
        go.set()
        working.result(10)
        closing.result(10)
    assert member.closed
    pool.close()


def test_a_failing_network_costs_a_lane_and_the_others_go_on(cuda, random):
    lanes, sources = make(cuda, 2)
    images, labels = batch(random, 1)
    sources[0].fails = RuntimeError("CUDA_ERROR_LAUNCH_FAILED")
    with pytest.raises(RuntimeError, match="LAUNCH_FAILED"):
        run(lanes, images, labels)
    assert (lanes.left, len(lanes)) == (1, 2)
    np.testing.assert_array_equal(run(lanes, images, labels), expected(images, labels))


def test_eight_threads_and_two_engines(cuda, random):
    both = [make(cuda, 2)[0], make(cuda, 3)[0]]
    images, labels = batch(random, 4)

    def work(number):
        return [run(both[(number + turn) % 2], images, labels) for turn in range(10)]

    with ThreadPoolExecutor(8) as threads:
        for results in threads.map(work, range(8)):
            for result in results:
                np.testing.assert_array_equal(result, expected(images, labels))
    for lanes in both:
        lanes.close()
    assert cuda.allocated == 0


# Profiling and messages


def test_a_profiled_run_tells_its_stages_and_keeps_copies_out_of_the_graph(cuda, random):
    lanes, _ = make(cuda)
    images, labels = batch(random, 5)  # two batches
    profile = Profile()
    for _ in range(3):
        with profile.call():
            np.testing.assert_array_equal(run(lanes, images, labels), expected(images, labels))
    times = profile.median()
    assert (times.h2d_ms, times.compute_ms, times.d2h_ms) == (1.0, 1.0, 1.0)
    assert len(profile.calls) == 3
    last = kinds(cuda)[kinds(cuda).index("launch") :]
    assert last[:2] == ["launch", "network"]
    np.testing.assert_array_equal(run(lanes, images, labels), expected(images, labels))
    with pytest.raises(ValueError, match="no call"):
        Profile().median()


def test_a_call_that_fails_is_not_counted():
    profile = Profile()
    with pytest.raises(RuntimeError), profile.call():
        raise RuntimeError
    assert profile.calls == []


def test_memory_is_told(cuda):
    lanes, _ = make(cuda, 2)
    found = lanes.memory_bytes()
    assert found["device"] == 2 * 4 * (2 * 16 * 24 * 3 + 4 * DIM)
    assert found["pinned"] > found["device"]


@pytest.mark.parametrize(
    "text",
    [
        "CUDA_ERROR_OUT_OF_MEMORY: The API call failed",
        "Error Code 1: Cuda Runtime (out of memory)",
        "Error Code 2: OutOfMemory (Requested size was 3 bytes.)",
    ],
)
def test_out_of_memory_is_recognised(text):
    assert is_out_of_memory("something", text)
    assert not is_out_of_memory("CUDA_ERROR_ILLEGAL_ADDRESS")


def test_a_lane_is_for_networks_of_the_contract(cuda):
    source = Invert(cuda)
    stream = cuda.device.create_stream(cuda.StreamOptions(nonblocking=True))
    lane = Lane(cuda, cuda.device, stream, source, SIZE, DIM, (2, 4), Capturing())
    (network,) = source.connected
    assert network.shapes == {"image": (2, *SIZE, 3), "label": (2, DIM)}
    assert set(network.addresses) == {"image", "label", "translated"}
    lane.close()
    assert stream.closed

"""Warming up ends when the times no longer change."""

import time

from benchmarks.settle import settle


def test_it_goes_on_while_calls_become_faster():
    calls = []

    def call():
        time.sleep(max(0.05 - 0.01 * len(calls), 0.01))
        calls.append(0)

    assert settle(call, least_s=0.0, calls=1)
    assert len(calls) >= 6  # five that still change, and some that do not


def test_it_takes_its_least_time():
    start = time.perf_counter()
    assert settle(lambda: time.sleep(0.01), least_s=0.3, calls=2)
    assert time.perf_counter() - start >= 0.3


def test_it_gives_up_on_times_that_never_settle():
    times = iter([0.01, 0.05] * 1000)
    assert not settle(lambda: time.sleep(next(times)), least_s=0.0, most_s=0.5, calls=1)

"""A contestant's process: what it answers, and what happens when it does not."""

import multiprocessing
import time
from functools import partial

from benchmarks.workers import Worker


class Sleeper:
    """Sleeps as many ms in a turn as it has calls."""

    def __init__(self, told: str) -> None:
        self.facts = {"told": told}

    def turn(self, calls: int) -> float:
        if calls < 0:
            raise ValueError("no calls")
        time.sleep(calls / 1e3)
        return calls / 2


def test_facts_turns_and_the_end(tmp_path):
    worker = Worker("sleeper", partial(Sleeper, "hello"), tmp_path / "log")
    worker.prepare()
    assert worker.facts == {"told": "hello"}
    assert worker.turn(3) == 1.5
    assert worker.turn(-1) is None
    assert worker.failure == "ValueError: no calls"
    assert worker.turn(3) is None  # it is not asked again
    assert "Traceback" in (tmp_path / "log").read_text()
    worker.close()


def test_waiting_costs_nothing(tmp_path):
    worker = Worker("sleeper", partial(Sleeper, ""), tmp_path / "log")
    worker.prepare()
    for _ in range(3):
        time.sleep(0.1)
        worker.turn(1)
    assert worker.idle_share < 0.05
    worker.close()


def test_a_process_that_does_not_answer_is_ended(tmp_path):
    worker = Worker("slow", partial(time.sleep, 60), tmp_path / "log", prepare_s=1.0)
    worker.prepare()
    assert worker.failure == "no answer within 1 s"
    worker.close()
    assert not multiprocessing.active_children()

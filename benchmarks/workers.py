"""Contestants in processes of their own, which have their turns one after another.

One process can't hold them all fairly: OpenMP, TBB and thread pools of several libraries would share its cores, and
a setting of one library would affect the others.

No environment variable such as OMP_WAIT_POLICY tells a library how to wait, since that would slow some of them in
their own turn. The threads of OpenMP, TBB and ONNX Runtime spin for a moment after a call and then sleep; that moment
falls into the next contestant's warm-up calls. The ``idle_share`` of each row confirms it.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

PREPARE_S = 900.0
"""Most seconds that a contestant may compile, build or quantise."""
TURN_S = 300.0


class Contestant(Protocol):
    """What a worker makes and times.

    Attributes:
        facts: what it reports once, when it is ready; anything that can be pickled.
    """

    facts: dict[str, Any]

    def turn(self, calls: int) -> Any:
        """Make `calls` timed calls, after some that are not counted, and return what was measured."""


class Worker:
    """A process that makes a contestant, and waits for its turns without using the CPU.

    Attributes:
        name: name of the contestant.
        facts: what the contestant reported; empty before `prepare`.
        failure: why it can't go on; None while it can.
        prepare_s: seconds that it took to make, including the start of the process.
    """

    def __init__(self, name: str, make: Callable[[], Contestant], log: Path, prepare_s: float = PREPARE_S) -> None:
        """Describe a process; `prepare` starts it.

        Args:
            name: name of the contestant.
            make: makes the contestant, in the new process; it is pickled.
            log: file for what the process prints.
            prepare_s: seconds after which a contestant that is not ready is ended.
        """
        self.name, self.prepare_s = name, 0.0
        self.facts: dict[str, Any] = {}
        self.failure: str | None = None
        self._make, self._log, self._limit_s = make, log, prepare_s
        self._idle_cpu_s = self._idle_s = 0.0

    @property
    def idle_share(self) -> float:
        """Share of a core that its threads used while others had their turns."""
        return self._idle_cpu_s / self._idle_s if self._idle_s else 0.0

    def prepare(self) -> None:
        """Start the process and wait until the contestant is ready or has failed."""
        began = time.perf_counter()
        context = multiprocessing.get_context("spawn")  # a fork would inherit thread pools that no longer run
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._make, self._log), daemon=False)
        self._process.start()
        theirs.close()  # otherwise the pipe would stay open after the process ends
        answer = self._answer(self._limit_s)
        self.facts = answer or {}
        self.prepare_s = time.perf_counter() - began

    def turn(self, calls: int) -> Any:
        """Return what the contestant measured; None if it failed, now or before."""
        if self.failure:
            return None
        try:
            self._pipe.send(calls)
        except OSError:  # the process ended between its turns
            return self._fail(self._end_of_process())
        answer = self._answer(TURN_S)
        if answer is None:
            return None
        found, idle_cpu_s, idle_s = answer
        self._idle_cpu_s += idle_cpu_s
        self._idle_s += idle_s
        return found

    def close(self) -> None:
        """End the process."""
        if not hasattr(self, "_process"):
            return
        self._pipe.close()  # the process ends when the pipe closes
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _answer(self, timeout_s: float) -> Any:
        try:
            if not self._pipe.poll(timeout_s):
                self._process.kill()
                return self._fail(f"no answer within {timeout_s:.0f} s")
            answer, error = self._pipe.recv()
        except (EOFError, OSError):
            return self._fail(self._end_of_process())
        return answer if error is None else self._fail(error)

    def _end_of_process(self) -> str:
        self._process.join(5)
        lines = self._log.read_text(errors="replace").strip().splitlines() if self._log.is_file() else []
        last = f": {lines[-1]}" if lines else ""
        return f"its process ended with exit code {self._process.exitcode}{last}"

    def _fail(self, reason: str) -> None:
        self.failure = reason


def _serve(pipe: Connection, make: Callable[[], Contestant], log: Path) -> None:
    """Run in the process: send the contestant's facts, then a measurement for each number of calls received."""
    with log.open("w") as file:  # compilers print a lot; the terminal shows the table
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        contestant = make()
        pipe.send((contestant.facts, None))
        while True:
            cpu_s, began = time.process_time(), time.perf_counter()
            calls = pipe.recv()
            idle = time.process_time() - cpu_s, time.perf_counter() - began
            pipe.send(((contestant.turn(calls), *idle), None))
    except EOFError:
        pass  # the race is over
    except BaseException as error:
        traceback.print_exc()
        first = next(iter(str(error).strip().splitlines()), "no message")
        pipe.send((None, f"{type(error).__name__}: {first}"))
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(0)  # destructors of vendors' libraries have crashed at exit; nothing is left to save

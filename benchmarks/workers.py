"""Contestants in processes of their own, which have their turns one after another.

One process can't hold them all fairly: OpenMP, TBB and thread pools of several libraries would share its cores,
and a setting of one library would reach the others.

Nobody is told how to wait (OMP_WAIT_POLICY and its like), which would slow some libraries in their own turn: the
threads of OpenMP, TBB and ONNX Runtime spin for a moment after a call and then sleep, and the moment falls into the
next contestant's uncounted calls. Each row's ``idle_share`` shows that it is so.
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
"""Longest that a contestant may compile, build or quantise."""
TURN_S = 300.0


class Contestant(Protocol):
    """What takes turns.

    Attributes:
        facts: about it, told once; anything that can be pickled.
    """

    facts: dict[str, Any]

    def turn(self, calls: int) -> Any:
        """Makes so many timed calls, after some that are not counted, and tells what was measured."""


class Worker:
    """A process that makes a contestant, and waits for its turns without using the CPU.

    Attributes:
        name: of the contestant.
        facts: that the contestant told; empty before `prepare`.
        failure: why it is out of the race; None while it is in it.
        prepare_s: seconds that making it took, the start of the process included.
        idle_share: of a core, that its threads used while others had their turns.
    """

    def __init__(self, name: str, make: Callable[[], Contestant], log: Path) -> None:
        """`make` runs in the new process, which writes its output to `log`."""
        self.name, self.prepare_s = name, 0.0
        self.facts: dict[str, Any] = {}
        self.failure: str | None = None
        self._make, self._log = make, log
        self._idle_cpu_s = self._idle_s = 0.0

    @property
    def idle_share(self) -> float:
        return self._idle_cpu_s / self._idle_s if self._idle_s else 0.0

    def prepare(self) -> None:
        """Starts the process and waits until the contestant is ready, or failed."""
        began = time.perf_counter()
        context = multiprocessing.get_context("spawn")  # a fork would inherit thread pools that no longer run
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._make, self._log), daemon=False)
        self._process.start()
        theirs.close()  # else the end of the process would not end the pipe
        told = self._answer(PREPARE_S)
        self.facts = told or {}
        self.prepare_s = time.perf_counter() - began

    def turn(self, calls: int) -> Any:
        """What the contestant measured; None where it failed, now or before."""
        if self.failure:
            return None
        try:
            self._pipe.send(calls)
        except OSError:  # it died between its turns
            return self._fail(self._end_of_process())
        told = self._answer(TURN_S)
        if told is None:
            return None
        found, idle_cpu_s, idle_s = told
        self._idle_cpu_s += idle_cpu_s
        self._idle_s += idle_s
        return found

    def close(self) -> None:
        """Ends the process."""
        if not hasattr(self, "_process"):
            return
        self._pipe.close()  # the process leaves when it finds the pipe closed
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _answer(self, timeout_s: float) -> Any:
        try:
            if not self._pipe.poll(timeout_s):
                self._process.kill()
                return self._fail(f"no answer within {timeout_s:.0f} s")
            told, error = self._pipe.recv()
        except (EOFError, OSError):
            return self._fail(self._end_of_process())
        return told if error is None else self._fail(error)

    def _end_of_process(self) -> str:
        self._process.join(5)
        lines = self._log.read_text(errors="replace").strip().splitlines() if self._log.is_file() else []
        last = f": {lines[-1]}" if lines else ""
        return f"its process ended with exit code {self._process.exitcode}{last}"

    def _fail(self, reason: str) -> None:
        self.failure = reason


def _serve(pipe: Connection, make: Callable[[], Contestant], log: Path) -> None:
    """The process: the contestant's facts, then a measurement for each number of calls that comes in."""
    with log.open("w") as file:  # compilers talk; the terminal is the table's
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

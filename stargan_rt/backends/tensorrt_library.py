"""TensorRT 10 and 11 and TensorRT-RTX: what compiling a plan and running one both need.

The libraries share almost all of their interface, so the module is a parameter here. Nothing of NVIDIA is imported
before it is needed.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import signal
import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from stargan_rt.errors import MissingDependencyError

MODULES: Mapping[str, str] = MappingProxyType({"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"})
"""Backend → its Python module."""
TITLES: Mapping[str, str] = MappingProxyType({"tensorrt": "TensorRT", "tensorrt-rtx": "TensorRT-RTX"})
EXTRAS: Mapping[str, str] = MappingProxyType({"tensorrt": "tensorrt-cu13", "tensorrt-rtx": "tensorrt-rtx"})
"""Backend → the extra that installs it; for CUDA 12 it is ``tensorrt-cu12``."""
_PRECISIONS = {"float": "fp32", "half": "fp16", "bfloat16": "bf16"}
"""The inspector's names of types, in small letters → ours, where they differ."""
_MOST_LINES = 20
_logger = logging.getLogger(__name__)
_LOGS: dict[str, Any] = {}
_LOGS_LOCK = threading.Lock()


def vendor(backend: str) -> Any:
    """Return the module of ``"tensorrt"`` or ``"tensorrt-rtx"``.

    Raises:
        MissingDependencyError: it can't be imported.
    """
    try:
        return importlib.import_module(MODULES[backend])
    except (ImportError, OSError, RuntimeError) as error:  # the wheels load libraries by hand: OSError, RuntimeError
        raise MissingDependencyError(
            f"{MODULES[backend]} can't be imported ({error}); pip install 'stargan-rt[{EXTRAS[backend]}]'"
        ) from None


def deserialise(trt: Any, data: bytes) -> tuple[Any, list[str]]:
    """Return the engine, or None, and TensorRT's warnings and errors."""
    own = log(trt)
    with own.collected() as lines:
        try:
            runtime = trt.Runtime(own)
        except TypeError:  # the binding got a null pointer, as it does without a driver
            return None, lines
        # Its `engine_host_code_allowed` stays off: a plan is data, and must not bring code to run.
        return runtime.deserialize_cuda_engine(data), lines


def layers_of_plan(trt: Any, engine: Any) -> dict[str, int]:
    """Return precision → number of convolutions, as far as the plan shows them: TensorRT may have fused some or all."""
    counts: Counter[str] = Counter()
    information = engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
    for layer in json.loads(information).get("Layers", ()):
        if isinstance(layer, dict) and layer.get("ParameterType") in ("Convolution", "Deconvolution"):
            kind = str(layer.get("Weights", {}).get("Type", "")).lower()
            counts[_PRECISIONS.get(kind, kind)] += 1
    return dict(counts)


def log(trt: Any) -> Any:
    """Return the one logger of the process that TensorRT asks for; `_log_class` says what it can do."""
    found = _LOGS.get(trt.__name__)
    if found is None:
        with _LOGS_LOCK:
            found = _LOGS.setdefault(trt.__name__, None) or _log_class(trt)()
            _LOGS[trt.__name__] = found
    return found


def _log_class(trt: Any) -> type:
    """Return a logger's class; its base exists only once the library has been imported."""
    warning, error = int(trt.ILogger.WARNING), int(trt.ILogger.ERROR)

    class Log(trt.ILogger):  # type: ignore[misc]
        """Passes messages on to `logging`, and keeps warnings and errors for exceptions.

        TensorRT works in threads of its own, so messages of all threads are kept together.
        """

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._lock = threading.Lock()
            self._listeners: list[list[str]] = []
            self._recent: deque[str] = deque(maxlen=_MOST_LINES)
            self._count = 0

        def log(self, severity: Any, message: str) -> None:
            level = int(severity)
            if level > warning:
                _logger.debug("%s", message)
                return
            with self._lock:
                self._recent.append(message)
                self._count += 1
                for lines in self._listeners:
                    lines.append(message)
                collected = bool(self._listeners)
            if level == warning:
                _logger.warning("%s", message)
            else:  # whoever collects puts it into an exception
                _logger.log(logging.DEBUG if collected or level > error else logging.ERROR, "%s", message)

        def mark(self) -> int:
            """Return a point in time for `since`; cheap enough for every call."""
            return self._count

        def since(self, mark: int) -> list[str]:
            """Return the latest warnings and errors after a mark."""
            with self._lock:
                new = min(self._count - mark, len(self._recent))
                return list(self._recent)[len(self._recent) - new :]

        @contextlib.contextmanager
        def collected(self) -> Iterator[list[str]]:
            """Yield a list that all warnings and errors are appended to meanwhile."""
            lines: list[str] = []
            with self._lock:
                self._listeners.append(lines)
            try:
                yield lines
            finally:
                with self._lock:
                    self._listeners = [other for other in self._listeners if other is not lines]

    return Log


def with_lines(message: str, lines: list[str]) -> str:
    """Return a message with what TensorRT logged below it."""
    once = list(dict.fromkeys(line.strip() for entry in lines for line in entry.splitlines()))[:_MOST_LINES]
    return "\n  ".join([message + ":" if once else message, *once])


@contextlib.contextmanager
def interrupts_deferred() -> Iterator[list[int]]:
    """Delay Ctrl-C to the end, since it must not unwind TensorRT's frames; meanwhile it fills the list."""
    pressed: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    # Other threads are not interrupted; a handler that is no function ignores the signal or ends the process.
    ours = threading.current_thread() is threading.main_thread() and callable(before)
    if ours:
        signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield pressed
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)
        if pressed:
            raise KeyboardInterrupt

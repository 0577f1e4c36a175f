"""TensorRT 10 and 11 and TensorRT-RTX: what compiling a plan and running one both need of them.

The two share their interface but for details, so that the module is a parameter here. Nothing of NVIDIA is imported
before it is needed.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from stargan_rt.errors import MissingDependencyError

MODULES: Mapping[str, str] = MappingProxyType({"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"})
"""Backend → the module that it is."""
TITLES: Mapping[str, str] = MappingProxyType({"tensorrt": "TensorRT", "tensorrt-rtx": "TensorRT-RTX"})
_PRECISIONS = {"float": "fp32", "half": "fp16", "bfloat16": "bf16"}
"""The inspector's words, in small letters → ours, where they differ."""
_MOST_LINES = 20
_logger = logging.getLogger(__name__)
_LOGS: dict[str, Any] = {}
_LOGS_LOCK = threading.Lock()


def vendor(backend: str) -> Any:
    """The module of ``"tensorrt"`` or ``"tensorrt-rtx"``.

    Raises:
        MissingDependencyError: it can't be imported.
    """
    try:
        return importlib.import_module(MODULES[backend])
    except (ImportError, OSError, RuntimeError) as error:  # the wheels load libraries by hand: OSError, RuntimeError
        raise MissingDependencyError(
            f"{MODULES[backend]} can't be imported ({error}); pip install 'stargan-rt[{backend}]'"
        ) from None


def deserialise(trt: Any, data: bytes) -> tuple[Any, list[str]]:
    """The engine, or None, and TensorRT's complaints."""
    own = log(trt)
    with own.collected() as lines:
        try:
            runtime = trt.Runtime(own)
        except TypeError:  # what the binding makes of a null pointer, as without a driver
            return None, lines
        # Its `engine_host_code_allowed` stays off: a plan is data, and must not bring code to run.
        return runtime.deserialize_cuda_engine(data), lines


def layers_of_plan(trt: Any, engine: Any) -> dict[str, int]:
    """Precision → convolutions, as far as a plan tells: all of them, some, or none, as TensorRT fuses them."""
    counts: Counter[str] = Counter()
    information = engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
    for layer in json.loads(information).get("Layers", ()):
        if isinstance(layer, dict) and layer.get("ParameterType") in ("Convolution", "Deconvolution"):
            kind = str(layer.get("Weights", {}).get("Type", "")).lower()
            counts[_PRECISIONS.get(kind, kind)] += 1
    return dict(counts)


def log(trt: Any) -> Any:
    """The one logger of the process, which TensorRT asks for; `collected` gives warnings and errors as lines."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._lock = threading.Lock()
            self._listeners: list[list[str]] = []

        def log(self, severity: Any, message: str) -> None:
            _logger.debug("%s: %s", severity, message)  # for --verbose; what matters is in the errors
            if int(severity) <= int(trt.ILogger.WARNING):
                with self._lock:
                    for lines in self._listeners:
                        lines.append(message)

        @contextlib.contextmanager
        def collected(self) -> Iterator[list[str]]:
            """Of every thread: TensorRT works in threads of its own."""
            lines: list[str] = []
            with self._lock:
                self._listeners.append(lines)
            try:
                yield lines
            finally:
                with self._lock:
                    self._listeners = [other for other in self._listeners if other is not lines]

    with _LOGS_LOCK:
        if trt.__name__ not in _LOGS:
            _LOGS[trt.__name__] = Log()
        return _LOGS[trt.__name__]


def with_lines(message: str, lines: list[str]) -> str:
    """A message with what TensorRT logged below it."""
    once = list(dict.fromkeys(line.strip() for entry in lines for line in entry.splitlines()))[:_MOST_LINES]
    return "\n  ".join([message + ":" if once else message, *once])


@contextlib.contextmanager
def interrupts_deferred() -> Iterator[list[int]]:
    """Ctrl-C fills the list and becomes a KeyboardInterrupt at the end: it must not unwind TensorRT's frames."""
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

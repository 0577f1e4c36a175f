"""Running a graph or a plan while it is being built, to judge and to time it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import onnx

from stargan_rt import backends
from stargan_rt.backends import Backend, RunOptions
from stargan_rt.errors import BuildError, EngineLoadError
from stargan_rt.manifest import Manifest


@contextlib.contextmanager
def running(data: onnx.ModelProto | bytes, backend: str, manifest: Manifest, precision: str) -> Iterator[Backend]:
    """Load a graph or a plan into a backend, from a temporary file.

    Args:
        data: the graph, or the content of a plan.
        backend: name of the backend.
        manifest: what the network is; its precision is not used.
        precision: the precision that the graph is typed for.

    Raises:
        BuildError: the backend refuses it.
    """
    with tempfile.TemporaryDirectory(prefix="stargan-rt-") as folder:
        path = Path(folder) / "candidate"
        path.write_bytes(data if isinstance(data, bytes) else data.SerializeToString())
        try:
            loaded = backends.backend_class(backend)(path, manifest, RunOptions(precision=precision))
        except EngineLoadError as error:
            raise BuildError(f"{backend} can't run the {precision} network: {error}") from None
        try:
            yield loaded
        finally:
            loaded.close()

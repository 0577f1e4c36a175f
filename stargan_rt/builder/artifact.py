"""`Artifact`: an engine on the disk, and how its files are written."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from stargan_rt.backends import PLANS
from stargan_rt.errors import InputError
from stargan_rt.files import sha256_of, written_whole
from stargan_rt.manifest import Manifest, plan_manifest_path, write_to_onnx


@dataclass(frozen=True)
class Artifact:
    """A built engine.

    Attributes:
        path: an ONNX file for a CPU; for TensorRT a plan, with its manifest next to it as ``PATH.json``.
        manifest: what it is and how it was built.
        cached: whether it was built before, and copied from the cache.
        seconds: duration of this build.
    """

    path: Path
    manifest: Manifest
    cached: bool
    seconds: float


def output_path(source: Path, output: Path | None, backend: str, precision: str) -> Path:
    """Return where an engine goes: `output`, or by default a file next to the source.

    Raises:
        InputError: `output` has the wrong suffix, or is the source.
    """
    suffix = ".engine" if backend in PLANS else ".onnx"
    target = output or source.with_suffix(f".{precision}{suffix}")
    if target.suffix != suffix:
        raise InputError(f"an engine for {backend} is a {suffix} file; got --output {target}")
    if target.resolve() == source.resolve():
        raise InputError(f"--output {target} would overwrite the model it is built from; choose another")
    return target


def sealed(manifest: Manifest, engine: bytes | onnx.ModelProto) -> tuple[Manifest, bytes]:
    """Join an engine and its manifest: the SHA-256 of a plan goes into the manifest, the manifest into a graph."""
    if isinstance(engine, bytes):
        assert manifest.build is not None
        build = replace(manifest.build, plan_sha256=sha256_of(engine))
        return replace(manifest, build=build), engine
    write_to_onnx(manifest, engine)
    return manifest, engine.SerializeToString()


def write(target: Path, engine: bytes, manifest: Manifest) -> None:
    """Write an engine, whole or not at all.

    Raises:
        InputError: the files can't be written.
    """
    with contextlib.ExitStack() as stack:
        if target.suffix == ".engine":
            # Both files are complete on the disk before either gets its name. Where only one does, the hash in the
            # manifest does not match, and the plan is refused.
            manifest_file = stack.enter_context(written_whole(plan_manifest_path(target)))
            manifest_file.write_text(json.dumps(manifest.to_dict(), indent=2) + "\n")
        stack.enter_context(written_whole(target)).write_bytes(engine)

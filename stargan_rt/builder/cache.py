"""The cache of built engines: a second build with the same inputs copies the first one's result."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

import stargan_rt
from stargan_rt import machine
from stargan_rt.builder.config import BuildConfig
from stargan_rt.files import CACHE_HINT, cache_folder, written_whole
from stargan_rt.images import image_files

ENGINE, MANIFEST = "engine", "manifest.json"


@dataclass(frozen=True)
class Entry:
    """A cached engine: its folder and its manifest as JSON."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def engine(self) -> Path:
        return self.folder / ENGINE

    @property
    def bytes(self) -> int:
        return self.engine.stat().st_size


def key(model: onnx.ModelProto, config: BuildConfig, backend: str, version: str | None) -> str:
    """Return a hash of all that an engine depends on: network, settings, calibration images, backend and machine."""
    digest = hashlib.sha256(model.SerializeToString(deterministic=True))
    settings = {**config.to_dict(), "timing_cache": None}
    parts = [stargan_rt.__version__, backend, version, machine.cpu(), machine.gpu(), settings, _images(config.calib)]
    digest.update(json.dumps(parts, sort_keys=True).encode())
    return digest.hexdigest()[:32]


def _images(calib: str | None) -> list[Any]:
    if calib in (None, "avatars"):
        return []
    # Names, sizes and times stand for the contents, as in make.
    found = [(path, path.stat()) for path in image_files(Path(str(calib)))]
    return [(str(path), stat.st_size, stat.st_mtime_ns) for path, stat in found]


def _folder() -> Path:
    return cache_folder() / "engines"


def find(name: str) -> Entry | None:
    """Return the engine with a `key`; None where there is none or it is damaged."""
    folder = _folder() / name
    try:
        return Entry(folder, json.loads((folder / MANIFEST).read_text())) if (folder / ENGINE).is_file() else None
    except (OSError, ValueError):
        return None


def keep(name: str, engine: bytes, manifest: dict[str, Any]) -> None:
    """Add an engine. The manifest is written last, so that an entry that has one is complete."""
    with written_whole(_folder() / name / ENGINE, CACHE_HINT) as temporary:
        temporary.write_bytes(engine)
    with written_whole(_folder() / name / MANIFEST, CACHE_HINT) as temporary:
        temporary.write_text(json.dumps(manifest))


def entries() -> Sequence[Entry]:
    """Return all cached engines, the newest first."""
    folders = sorted(_folder().glob("*"), key=lambda folder: folder.stat().st_mtime, reverse=True)
    return [entry for folder in folders if (entry := find(folder.name))]


def clear() -> int:
    """Remove all cached engines and return the number of bytes freed."""
    freed = sum(path.stat().st_size for path in _folder().rglob("*") if path.is_file())
    shutil.rmtree(_folder(), ignore_errors=True)
    return freed

"""`Manifest`: what a model or an engine is, kept in an ONNX file's metadata or next to a plan."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stargan_rt.build_record import REBUILD, BuildRecord
from stargan_rt.errors import EngineIncompatibleError, EngineLoadError, LabelError
from stargan_rt.files import sha256
from stargan_rt.labels import LabelSpace
from stargan_rt.onnx_header import read_header

if TYPE_CHECKING:
    import onnx

METADATA_KEY = "stargan_rt"
VERSION = 1
IMAGE, LABEL, TRANSLATED = "image", "label", "translated"
"""Names of the graph's inputs and output, the same for every backend."""
EXPORT_AGAIN = "export it again with: python -m export --checkpoint CKPT --output PATH"


@dataclass(frozen=True)
class Manifest:
    """What an ONNX file or an engine is.

    Attributes:
        labels: the label space of the generator.
        size: (height, width) of the images in pixels.
        precision: arithmetic of the convolutions, such as ``"fp32"``; for an engine, that of most of them.
        conv_dim: channels of the generator's first convolution.
        blocks: residual blocks of the generator.
        source: where it came from: name and SHA-256 of the checkpoint, iteration, versions.
        parity: how the export was compared with PyTorch: images, batches, largest difference in levels of 255.
        build: for an engine, how `stargan-rt build` made it; None for an exported file.
        arch: architecture of the generator: ``"paper"``, or ``"lite"`` with fewer multiplications.
        stem: of a lite generator, the side of the pixel blocks that space-to-depth makes one pixel of; else 1.
        bottleneck: by how much the images in the residual blocks are smaller than the input.
        alignment: how the training set shows faces, one of `stargan_rt.faces.ALIGNMENTS`.
        int8_limits: by the name of a convolution's weights, the largest value of its input's int8 grid that the
            generator was trained with; empty if it was trained in floating point alone.
    """

    labels: LabelSpace
    size: tuple[int, int]
    precision: str
    conv_dim: int
    blocks: int
    source: Mapping[str, Any] = field(default_factory=dict)
    parity: Mapping[str, Any] = field(default_factory=dict)
    build: BuildRecord | None = None
    arch: str = "paper"
    stem: int = 1
    bottleneck: int = 4
    alignment: str = "none"
    int8_limits: Mapping[str, float] = field(default_factory=dict)

    @property
    def precision_asked(self) -> str:
        """The precision that was asked for, which is that of the typed graph; `precision` is what was computed."""
        return str(self.build.config.get("precision", self.precision)) if self.build else self.precision

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready form; `from_dict` reads it."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        build = self.build.to_dict() if self.build else {}
        return {
            "version": VERSION,
            **values,
            "labels": self.labels.to_dict(),
            "size": list(self.size),
            "build": build,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Manifest:
        """Read what `to_dict` wrote.

        Raises:
            EngineLoadError: the data is of another version, or is not a manifest.
        """
        try:
            if data["version"] != VERSION:
                raise EngineLoadError(
                    f"manifest version {data['version']} is not the {VERSION} that this stargan-rt reads; "
                    "export the model again with this version"
                )
            height, width = (int(side) for side in data["size"])
            return cls(
                LabelSpace.from_dict(data["labels"]),
                (height, width),
                str(data["precision"]),
                int(data["conv_dim"]),
                int(data["blocks"]),
                dict(data.get("source", {})),
                dict(data.get("parity", {})),
                BuildRecord.from_dict(data["build"]) if data.get("build") else None,
                str(data.get("arch", "paper")),
                int(data.get("stem", 1)),
                int(data.get("bottleneck", 4)),
                str(data.get("alignment", "none")),
                {str(name): float(limit) for name, limit in dict(data.get("int8_limits", {})).items()},
            )
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError, LabelError) as error:
            raise EngineLoadError(f"the manifest is damaged: {error}") from None


def write_to_onnx(manifest: Manifest, model: onnx.ModelProto) -> None:
    """Write the manifest into the model's metadata, in place of the one that is there."""
    kept = [entry for entry in model.metadata_props if entry.key != METADATA_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    model.metadata_props.add(key=METADATA_KEY, value=json.dumps(manifest.to_dict()))


def read_onnx(path: Path) -> tuple[Manifest, onnx.ModelProto]:
    """Read a whole ONNX file, and check that it keeps the contract of `export`.

    Raises:
        EngineLoadError: as for `read_onnx_manifest`, or the graph is damaged.
    """
    import onnx
    from google.protobuf.message import DecodeError

    manifest = read_onnx_manifest(path)
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, ValueError, OSError) as error:
        raise _damaged(path, error) from None
    return manifest, model


def read_onnx_manifest(path: Path) -> Manifest:
    """Read the manifest in an ONNX file and check that it matches the graph, without reading the weights.

    The contract: inputs ``image`` uint8 ``[batch, H, W, 3]`` RGB and ``label`` float32 ``[batch, c]``,
    output ``translated`` uint8 ``[batch, H, W, 3]``, all weights in the file, and a manifest in the metadata.

    Raises:
        EngineLoadError: there is no such file, or it is not an ONNX file, cut off, or another network's.
    """
    if not path.is_file():
        raise EngineLoadError(f"no model at {path}; make one with: python -m export --checkpoint CKPT --output {path}")
    try:
        header = read_header(path)
    except (ValueError, RecursionError, OSError) as error:
        raise _damaged(path, error) from None
    if METADATA_KEY not in header.metadata:
        raise EngineLoadError(
            f"{path} is an ONNX file without stargan-rt's manifest, with {header.signature}; {EXPORT_AGAIN}"
        )
    if not header.self_contained:
        raise EngineLoadError(f"{path} keeps its weights in other files, and a model must be one file; {EXPORT_AGAIN}")
    try:
        manifest = Manifest.from_dict(json.loads(header.metadata[METADATA_KEY]))
    except (ValueError, RecursionError, EngineLoadError) as error:
        raise EngineLoadError(f"{path}: the manifest can't be read ({error}); {EXPORT_AGAIN}") from None
    height, width = manifest.size
    expected = (
        f"inputs {IMAGE} uint8 [batch, {height}, {width}, 3], {LABEL} float32 [batch, {manifest.labels.dim}]; "
        f"outputs {TRANSLATED} uint8 [batch, {height}, {width}, 3]"
    )
    if header.signature != expected:
        raise EngineLoadError(f"{path} does not match its manifest: found {header.signature}; expected {expected}")
    return manifest


def _damaged(path: Path, error: Exception) -> EngineLoadError:
    reason = str(error).strip().splitlines()
    return EngineLoadError(
        f"{path} is damaged or not an ONNX file ({reason[0] if reason else 'empty'}); {EXPORT_AGAIN}"
    )


def read_manifest(path: Path) -> Manifest:
    """Return the manifest of an ONNX file or of a plan; for the errors see `read_onnx_manifest` and `read_plan`."""
    if path.suffix in (".engine", ".plan") or plan_manifest_path(path).is_file():
        return read_plan(path)
    return read_onnx_manifest(path)


def plan_manifest_path(plan: Path) -> Path:
    """Return the path of a plan's manifest: ``NAME.engine.json`` next to ``NAME.engine``."""
    return plan.with_name(f"{plan.name}.json")


def read_plan(path: Path) -> Manifest:
    """Read the manifest next to a plan and check that it belongs to the plan.

    Raises:
        EngineLoadError: there is no such plan, or its manifest is missing or damaged.
        EngineIncompatibleError: the manifest was written for another plan.
    """
    if not path.is_file():
        raise EngineLoadError(f"no engine at {path}; make one with: {REBUILD}")
    manifest_file = plan_manifest_path(path)
    if not manifest_file.is_file():
        raise EngineLoadError(
            f"{manifest_file} is missing, and a plan alone does not name its labels. Copy the file along with the "
            "plan, or name them: Engine.load(path, labels=…)"
        )
    try:
        manifest = Manifest.from_dict(json.loads(manifest_file.read_bytes()))
    except (OSError, ValueError, RecursionError, AttributeError, EngineLoadError) as error:
        raise EngineLoadError(f"{manifest_file} can't be read ({error}); build the engine again: {REBUILD}") from None
    build = manifest.build
    if build is None or build.backend not in ("tensorrt", "tensorrt-rtx"):
        again = build.command if build else REBUILD
        raise EngineLoadError(f"{manifest_file} is not the manifest of a plan; build the engine again: {again}")
    recorded, found = build.plan_sha256, sha256(path)
    if recorded != found:
        raise EngineIncompatibleError(
            f"{path} has SHA-256 {found[:12]}…, but its manifest was written for {str(recorded)[:12]}…: one of them "
            f"was changed or cut off. Copy both again, or build the engine again: {build.command}"
        )
    return manifest

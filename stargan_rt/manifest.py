"""`Manifest`: what an artefact is, carried inside an ONNX file's metadata."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stargan_rt.errors import EngineIncompatibleError, EngineLoadError, LabelError
from stargan_rt.labels import LabelSpace
from stargan_rt.onnx_header import read_header

if TYPE_CHECKING:
    import onnx

METADATA_KEY = "stargan_rt"
VERSION = 1
IMAGE, LABEL, TRANSLATED = "image", "label", "translated"
"""Names of the graph's inputs and output, the same for every backend."""
MEND = "export it again with: python -m export --checkpoint CKPT --output PATH"


@dataclass(frozen=True)
class Manifest:
    """What an ONNX file or an engine is.

    Attributes:
        labels: the label space of the generator.
        size: (height, width) of the images in pixels.
        precision: arithmetic of the convolutions, such as ``"fp32"``.
        conv_dim: channels of the generator's first convolution.
        blocks: residual blocks of the generator.
        source: where it came from: checkpoint name, its SHA-256, iteration, versions.
        parity: how export compared it with PyTorch: images, batches, largest difference in levels of 255.
        build: of an engine, how `stargan-rt build` made it: backend and version, targets, precision by
            layer, quality beside the float32 master, hashes; empty for an exported file.
        arch: architecture of the generator: ``"paper"``, or ``"lite"`` with fewer multiplications.
        stem: of a lite generator, the side of the pixel blocks that space-to-depth makes one pixel of; else 1.
        bottleneck: by how much the images in the residual blocks are smaller than the input.
        alignment: how the training set shows faces, one of `stargan_rt.faces.ALIGNMENTS`.
    """

    labels: LabelSpace
    size: tuple[int, int]
    precision: str
    conv_dim: int
    blocks: int
    source: Mapping[str, Any] = field(default_factory=dict)
    parity: Mapping[str, Any] = field(default_factory=dict)
    build: Mapping[str, Any] = field(default_factory=dict)
    arch: str = "paper"
    stem: int = 1
    bottleneck: int = 4
    alignment: str = "none"

    @property
    def precision_asked(self) -> str:
        """What the graph is typed as; `precision` is what the machine that built it makes of it."""
        return str(self.build.get("config", {}).get("precision", self.precision))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form; `from_dict` reads it."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {"version": VERSION, **values, "labels": self.labels.to_dict(), "size": list(self.size)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Manifest:
        """Reads what `to_dict` wrote.

        Raises:
            EngineLoadError: another version, or not a manifest.
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
                dict(data.get("build", {})),
                str(data.get("arch", "paper")),
                int(data.get("stem", 1)),
                int(data.get("bottleneck", 4)),
                str(data.get("alignment", "none")),
            )
        except (KeyError, TypeError, ValueError, OverflowError, LabelError) as error:
            raise EngineLoadError(f"the manifest is damaged: {error}") from None


def write_to_onnx(manifest: Manifest, model: onnx.ModelProto) -> None:
    """Puts the manifest into the model's metadata, replacing one that is there."""
    kept = [entry for entry in model.metadata_props if entry.key != METADATA_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    model.metadata_props.add(key=METADATA_KEY, value=json.dumps(manifest.to_dict()))


def read_onnx(path: Path) -> tuple[Manifest, onnx.ModelProto]:
    """Reads an ONNX file whole, and checks that it keeps the contract of `export`.

    Raises:
        EngineLoadError: as `read_onnx_manifest`, or the graph is damaged.
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
    """Reads the manifest in an ONNX file and checks that it is the file's, leaving the network to the backend.

    The contract: inputs ``image`` uint8 ``[batch, H, W, 3]`` RGB and ``label`` float32 ``[batch, c]``,
    output ``translated`` uint8 ``[batch, H, W, 3]``, all weights inside, and a manifest in the metadata.

    Raises:
        EngineLoadError: no such file, not an ONNX, cut off, or the ONNX of another network.
    """
    if not path.is_file():
        raise EngineLoadError(f"no model at {path}; make one with: python -m export --checkpoint CKPT --output {path}")
    try:
        header = read_header(path)
    except (ValueError, RecursionError, OSError) as error:
        raise _damaged(path, error) from None
    if METADATA_KEY not in header.metadata:
        raise EngineLoadError(f"{path} is an ONNX without stargan-rt's manifest, with {header.signature}; {MEND}")
    if not header.self_contained:
        raise EngineLoadError(f"{path} keeps its weights in other files, and a model is one file; {MEND}")
    try:
        manifest = Manifest.from_dict(json.loads(header.metadata[METADATA_KEY]))
    except (ValueError, RecursionError, EngineLoadError) as error:
        raise EngineLoadError(f"{path}: the manifest can't be read ({error}); {MEND}") from None
    height, width = manifest.size
    expected = (
        f"inputs {IMAGE} uint8 [batch, {height}, {width}, 3], {LABEL} float32 [batch, {manifest.labels.dim}]; "
        f"outputs {TRANSLATED} uint8 [batch, {height}, {width}, 3]"
    )
    if header.signature != expected:
        raise EngineLoadError(
            f"{path} is not the network that its manifest tells: {header.signature}; expected {expected}"
        )
    return manifest


def _damaged(path: Path, error: Exception) -> EngineLoadError:
    reason = str(error).strip().splitlines()
    return EngineLoadError(f"{path} is damaged or not an ONNX file ({reason[0] if reason else 'empty'}); {MEND}")


def read_manifest(path: Path) -> Manifest:
    """The manifest of an ONNX file or of a plan; errors are those of `read_onnx_manifest` and `read_plan`."""
    if path.suffix in (".engine", ".plan") or plan_manifest_path(path).is_file():
        return read_plan(path)
    return read_onnx_manifest(path)


def plan_manifest_path(plan: Path) -> Path:
    """Where the manifest of a plan lies: ``NAME.engine.json`` beside ``NAME.engine``."""
    return plan.with_name(f"{plan.name}.json")


def read_plan(path: Path) -> Manifest:
    """Reads the manifest beside a plan and checks that it is the plan's.

    Raises:
        EngineLoadError: no such plan, or no manifest beside it, or a damaged one.
        EngineIncompatibleError: the plan is not the one that the manifest tells.
    """
    if not path.is_file():
        raise EngineLoadError(f"no engine at {path}; make one with: stargan-rt build --onnx MODEL.onnx --fp16")
    beside = plan_manifest_path(path)
    if not beside.is_file():
        raise EngineLoadError(
            f"{beside} is missing: a plan alone does not tell its labels. Copy the file along with the plan, or name "
            "them: Engine.load(path, labels=…)"
        )
    try:
        manifest = Manifest.from_dict(json.loads(beside.read_bytes()))
    except (OSError, ValueError, RecursionError, AttributeError, EngineLoadError) as error:
        raise EngineLoadError(f"{beside} can't be read ({error}); build the engine again: {rebuild()}") from None
    told, found = manifest.build.get("plan_sha256"), sha256(path)
    if manifest.build.get("backend") not in ("tensorrt", "tensorrt-rtx"):
        raise EngineLoadError(f"{beside} is not the manifest of a plan; build the engine again: {rebuild(manifest)}")
    if told != found:
        raise EngineIncompatibleError(
            f"{path} has SHA-256 {found[:12]}…, but its manifest was written for {str(told)[:12]}…: one of them was "
            f"changed or cut off. Copy both again, or build anew: {rebuild(manifest)}"
        )
    return manifest


def rebuild(manifest: Manifest | None = None) -> str:
    """The command that makes an engine again."""
    if manifest is None or not manifest.build:
        return "stargan-rt build --onnx MODEL.onnx --fp16"
    config = manifest.build.get("config", {})
    flags = [f"--{config.get('precision', 'fp16')}", f"--backend {manifest.build.get('backend')}"]
    if config.get("targets"):
        flags.append(f"--target {','.join(config['targets'])}")
    if config.get("precision") == "int8":
        flags.append(f"--calib {config.get('calib')}")
    return f"stargan-rt build --onnx {manifest.build.get('source', {}).get('file', 'MODEL.onnx')} {' '.join(flags)}"


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_of(data: bytes) -> str:
    """SHA-256 of bytes, hexadecimal."""
    return hashlib.sha256(data).hexdigest()

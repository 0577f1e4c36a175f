"""Plans of TensorRT-RTX for GPUs that are not here: `python -m benchmarks plans`.

Each precision is built once for all GPUs together, judged as any build is, and compiled once for each GPU alone.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click
import onnx

from benchmarks import results
from stargan_rt.builder import BuildConfig, build, typed_graph
from stargan_rt.builder.calibration import cover, load_images
from stargan_rt.builder.plan import Plan, compile_plan
from stargan_rt.manifest import Manifest, read_onnx
from stargan_rt.models import model_path

BACKEND = "tensorrt-rtx"
TARGETS = ("sm75", "sm80", "sm86", "sm89", "sm120")
PRECISIONS = ("fp16", "int8")
MIN_PSNR: float | None = None
"""Budget in dB; None takes that of each precision."""


@click.command()
@click.option("--onnx", "name", default="avatars", help="An exported model, or 'avatars'.")
@click.option("--calib-count", default=64, help="Number of avatars that calibrate and judge.")
@click.option("--max-batch", default=8, help="Largest batch of the second profile.")
@results.output_option
def main(name: str, calib_count: int, max_batch: int, output: Path | None) -> None:
    """Build fp16 and int8 plans for RTX GPUs, and print their size, the time they take and their PSNR."""
    rows: list[results.Result] = []
    source = model_path(name)
    manifest, model = read_onnx(source)
    images = load_images("avatars", calib_count, manifest.size).calibration
    pairs = [(image, label) for _, image, label in cover(images, manifest.labels, len(images))]
    for precision in PRECISIONS:
        config = BuildConfig(
            BACKEND, precision, calib="avatars", calib_count=calib_count, min_psnr=MIN_PSNR, max_batch=max_batch
        )
        with tempfile.TemporaryDirectory(prefix="stargan-rt-plans-") as folder:
            together = BuildConfig(**{**config.to_dict(), "targets": TARGETS})
            record = build(source, together, output=Path(folder) / "g.engine", force=True).manifest.build
        assert record is not None
        assert record.quality is not None
        layers = ", ".join(f"{count} {kind}" for kind, count in record.layers.items())
        groups = record.int8.groups if record.int8 else ()
        typed = typed_graph(model, precision, BACKEND, calibration=pairs, groups=groups)
        for targets in (*((target,) for target in TARGETS), TARGETS):
            plan, seconds = _compiled(typed, BuildConfig(**{**config.to_dict(), "targets": targets}), manifest)
            row = {"precision": precision, "targets": list(targets), "mb": round(len(plan.data) / 1e6, 2)}
            profiles = [list(profile) for profile in record.profiles]
            row |= {"seconds": round(seconds, 2), "layers": layers, "profiles": profiles}
            rows.append(row | {"worst_psnr_db": record.quality.worst_db, "judged_by": record.quality.judged_by})
            click.echo(
                f"{precision:5}{', '.join(targets):32}{row['mb']:7.2f} MB{seconds:7.2f} s  {layers}, "
                f"worst label {record.quality.worst_db} dB"
            )
    results.write(output, {"machine": results.describe(), "onnx": name, "plans": rows})


def _compiled(typed: onnx.ModelProto, config: BuildConfig, manifest: Manifest) -> tuple[Plan, float]:
    began = time.perf_counter()
    plan = compile_plan(BACKEND, typed, config, manifest.size, manifest.labels.dim)
    return plan, time.perf_counter() - began

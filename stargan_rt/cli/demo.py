"""`stargan-rt demo`: the bundled model at work."""

from __future__ import annotations

from pathlib import Path

from stargan_rt.engine import Engine
from stargan_rt.grid import captioned_grid
from stargan_rt.images import read_image, write_image
from stargan_rt.models import bundled_samples
from stargan_rt.timing import Latency, measure_latency


def run_demo(engine: Engine, output: Path) -> Latency:
    """Translates the bundled samples into every domain, writes one captioned grid, and times `translate`."""
    samples = [read_image(path) for path in bundled_samples()]
    rows = [[sample, *engine.translate_all(sample).values()] for sample in samples]
    write_image(output, captioned_grid(rows, ["input", *engine.labels.names]))
    return measure_latency(lambda: engine.translate(samples[0], engine.labels.names[0]))

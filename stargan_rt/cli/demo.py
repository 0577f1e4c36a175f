"""`stargan-rt demo`: the bundled model at work."""

from __future__ import annotations

import json
from pathlib import Path

import click

from stargan_rt.cli.options import PATH, backend_option, json_option, load, threads_option


@click.command()
@click.option("--output", type=PATH, default="stargan-rt-demo.png", show_default=True, help="The picture to write.")
@backend_option
@threads_option
@json_option
def demo(output: Path, backend: str, threads: int | None, as_json: bool) -> None:
    """Translate sample faces into every domain with the bundled model, and time it."""
    from dataclasses import asdict

    from stargan_rt.grid import captioned_grid
    from stargan_rt.images import read_image, write_image
    from stargan_rt.models import bundled_samples
    from stargan_rt.timing import measure_latency

    with load("avatars", backend, threads) as engine:
        if not as_json:
            click.echo(f"bundled model on {engine.backend}, {engine.precision}: {', '.join(engine.labels.names)}")
        samples = [read_image(path) for path in bundled_samples()]
        rows = [[sample, *engine.translate_all(sample).values()] for sample in samples]
        write_image(output, captioned_grid(rows, ["input", *engine.labels.names]))
        latency = measure_latency(lambda: engine.translate(samples[0], engine.labels.names[0]))
        if as_json:
            facts = {"backend": engine.backend, "precision": engine.precision, "size": list(engine.size)}
            click.echo(json.dumps({"output": str(output), **facts, **asdict(latency)}))
            return
    click.echo(
        f"latency of one translation, array to array, over {latency.calls} calls: "
        f"p50 {latency.p50_ms:.1f} ms, p90 {latency.p90_ms:.1f} ms, p99 {latency.p99_ms:.1f} ms"
    )
    click.echo(f"every domain: {output}")

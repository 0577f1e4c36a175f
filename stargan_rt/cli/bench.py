"""`stargan-rt bench`: how fast an engine is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from stargan_rt.bench.config import BenchConfig
from stargan_rt.cli.flags import given, setting_flags
from stargan_rt.cli.options import PATH, engine_options, json_option, load


@click.command()
@engine_options
@setting_flags(BenchConfig)
@json_option
@click.option("--plot", type=PATH, help="Picture of the latency distribution and the batch curve; needs matplotlib.")
def bench(
    engine: str,
    backend: str,
    threads: int | None,
    lanes: int,
    device: str | None,
    as_json: bool,
    plot: Path | None,
    **flags: Any,
) -> None:
    """Time an engine: one caller, batches, several callers at once, lanes, cold start."""
    from stargan_rt.bench.report import figure_class, measure

    config = BenchConfig(**given(flags))
    if plot:
        figure_class()  # report a missing matplotlib before measuring
    with load(engine, backend, threads, lanes, device) as loaded:
        report = measure(loaded, engine, config, threads=threads, progress=lambda phase: click.echo(phase, err=True))
    if plot:
        report.plot(plot)
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=2))
    else:
        click.echo("\n".join(report.lines()))

"""Everything there is to measure on a GPU, in one command: `python -m benchmarks gpu --output results/gpu-NAME.json`.

Each job has a process of its own, and nothing else runs on the GPU meanwhile. Its result, or the reason why there is
none, is in the file as soon as the job ends, so an interrupted run goes on where it stopped when it is called again.
Clocks, power, temperature and driver are recorded next to every result.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from benchmarks import gpu_jobs, results
from benchmarks.clocks import Watch
from benchmarks.peers import NEEDS, PEERS, TENSORRTS
from benchmarks.workers import Worker
from stargan_rt import machine
from stargan_rt.cuda import driver
from stargan_rt.errors import InputError, MissingDependencyError

PLAN_PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True)
class Job:
    """One measurement.

    Attributes:
        section: what ``--section`` chooses.
        name: unique within its section.
        work: called in the process with the folder of the shared files; returns the result.
        needs: names in `NEEDS` or `OWN_NEEDS`.
        minutes: most minutes that it may take.
    """

    section: str
    name: str
    work: Callable[[Path], dict[str, Any]]
    needs: tuple[str, ...]
    minutes: float = 10.0


def jobs() -> Iterator[Job]:
    """Yield every job, the ones that matter most first."""
    yield Job("tests", "tests/gpu", gpu_jobs.tests, ("driver",), 20)
    for backend, title in TENSORRTS.items():
        for section, work in (
            ("overhead", gpu_jobs.overhead),
            ("graph", gpu_jobs.graph),
            ("lanes", gpu_jobs.lanes),
        ):
            plan = partial(work, backend=backend, precision="fp16")
            yield Job(section, f"{title} fp16", plan, ("driver", backend))
    for layout in ("rgb", "bgr", "nv12"):
        yield Job("frames", layout, partial(gpu_jobs.frames, layout=layout), ("driver",))
    for peer in PEERS:
        if peer.device == "gpu":
            needs = ("driver", *peer.needs, "generator")
            yield Job("peers", peer.name, partial(gpu_jobs.peer, name=peer.name), needs, 20)
    for section, work, needs in (
        ("builds", gpu_jobs.builds, ()),
        ("batches", gpu_jobs.batches, ()),
        ("scaling", gpu_jobs.sizes, ("generator",)),
    ):
        for backend, title in TENSORRTS.items():
            for precision in PLAN_PRECISIONS:
                plan = partial(work, backend=backend, precision=precision)
                yield Job(section, f"{title} {precision}", plan, ("driver", backend, *needs), 15)
    yield Job("training", "training step", gpu_jobs.training, ("driver", "cuda"), 15)


SECTIONS = tuple(dict.fromkeys(job.section for job in jobs()))


def _no_driver() -> str | None:
    """Return why no GPU can be used; cuda.core may be missing where PyTorch is there."""
    try:
        architecture, reason = driver.gpu()
    except MissingDependencyError as error:
        return None if machine.gpu() else f"no GPU: nvidia-smi finds none, and {error}"
    return None if architecture else f"no GPU: {reason}"


@click.command()
@click.option("--section", "sections", multiple=True, type=click.Choice(SECTIONS), help="Only these  [default: all]")
@click.option("--budget-minutes", type=click.FloatRange(min=0), help="Start no job later than this many minutes.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="JSON file; what it has already is kept, and only the rest is measured.",
)
def main(sections: tuple[str, ...], budget_minutes: float | None, output: Path) -> None:
    """Tests, latency, kernels, builds, peers and training on a GPU."""
    started = time.monotonic()
    result = _resumed(output)
    chosen = [job for job in jobs() if not sections or job.section in sections]
    done = [job for job in chosen if "not_measured" not in _entry(result, job)]
    missing: dict[str, str | None] = {"driver": _no_driver(), "generator": None}
    with tempfile.TemporaryDirectory(prefix="stargan-rt-gpu-") as name:
        folder = Path(name)
        for job in chosen:
            if job in done:
                click.echo(f"{job.section}: {job.name}: measured before", err=True)
                continue
            if budget_minutes is not None and time.monotonic() - started > 60 * budget_minutes:
                click.echo(f"stopped after {budget_minutes:g} minutes; call again to go on", err=True)
                break
            if not missing["driver"] and "model" not in result and {"generator", *TENSORRTS} & {*job.needs}:
                result |= _generator(folder, missing)
            entry = _measure(job, folder, missing)
            result["sections"].setdefault(job.section, {})[job.name] = entry
            results.write(output, result)
            if "seconds" in entry:  # it ran; the summary has the others
                outcome = f"failed: {entry['not_measured']}" if "not_measured" in entry else "measured"
                click.echo(f"{job.section}: {job.name}: {outcome} in {entry['seconds']} s", err=True)
    click.echo(summary(result))


def _resumed(output: Path) -> dict[str, Any]:
    """Return the result of an earlier call, or an empty one.

    Raises:
        InputError: the file is from another machine or other versions.
    """
    about = results.describe()
    if not output.is_file():
        return {"machine": about, "sections": {}}
    result = results.read(output)
    other = [key for key, value in about.items() if result.get("machine", {}).get(key) != value]
    if other:
        raise InputError(
            f"{output} was measured on another machine or with other versions ({', '.join(other)} differ); choose "
            "another --output"
        )
    return {key: value for key, value in result.items() if key != "model"}


def _entry(result: Mapping[str, Any], job: Job) -> dict[str, Any]:
    entry: dict[str, Any] = result["sections"].get(job.section, {}).get(job.name, {"not_measured": "not run"})
    return entry


def _generator(folder: Path, missing: dict[str, str | None]) -> dict[str, Any]:
    """Write the standard generator; where that fails, the sections that can take the bundled model."""
    worker = Worker("generator", partial(gpu_jobs.Job, gpu_jobs.generator, folder), folder / "generator.log")
    worker.prepare()
    worker.close()
    if worker.failure is None:
        return worker.facts
    missing["generator"] = f"the standard generator needs PyTorch and onnxsim: {worker.failure}"
    return {"model": f"the bundled model ({missing['generator']})"}


def _measure(job: Job, folder: Path, missing: Mapping[str, str | None]) -> dict[str, Any]:
    """Run a job in a process of its own, while its clocks are watched."""
    for need in job.needs:
        if reason := missing[need] if need in missing else NEEDS[need]():
            return {"not_measured": reason}
    log = folder / f"{job.section}.log"
    worker = Worker(job.name, partial(gpu_jobs.Job, job.work, folder), log, 60 * job.minutes)
    start = time.monotonic()
    with Watch() as watch:
        worker.prepare()
    worker.close()
    about = {"seconds": round(time.monotonic() - start, 1), "clocks": watch.summary}
    if worker.failure:  # no path of this machine goes into a result
        return {**about, "not_measured": results.without_paths(worker.failure)}
    return {**worker.facts, **about}


def summary(result: Mapping[str, Any]) -> str:
    """Return a line for each section: how many jobs were measured, and why the others were not."""
    lines = []
    for section in SECTIONS:
        entries = [_entry(result, job) for job in jobs() if job.section == section]
        reasons = dict.fromkeys(entry["not_measured"] for entry in entries if "not_measured" in entry)
        count = sum("not_measured" not in entry for entry in entries)
        lines.append(f"{section}: {count} of {len(entries)} measured" + "".join(f"; {reason}" for reason in reasons))
    return "\n".join(lines)

"""Results as JSON: figures with the machine, the versions and the settings that they belong to."""

from __future__ import annotations

import json
import platform
import re
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeAlias

import click

from stargan_rt import machine
from stargan_rt.files import written_whole

Result: TypeAlias = dict[str, Any]

FOLDER = Path(__file__).with_name("results")
"""Where the results that the documents quote are committed."""
LIBRARIES = (
    *("stargan-rt", "torch", "onnxruntime", "onnxruntime-gpu", "openvino", "nncf"),
    *("tensorrt", "tensorrt-cu12", "tensorrt-cu13", "tensorrt-rtx-cu13", "cuda-core", "cuda-bindings", "numpy"),
)
output_option = click.option("--output", type=click.Path(path_type=Path), help="Also write the result to a JSON file.")


def describe(threads: int | None = None) -> Result:
    """Describe the machine and the installed versions; nothing in it identifies the machine itself.

    Args:
        threads: number of CPU threads that each measured program had; all cores by default.
    """
    return {
        "cpu": machine.cpu(),
        "cores": machine.cores(),
        "threads": threads or machine.cores(),
        "gpu": machine.gpu(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {name: found for name in LIBRARIES if (found := _version(name))},
    }


def write(path: Path | None, result: Result, hint: str = "choose another --output") -> None:
    """Write a result as JSON, whole or not at all; without a path, do nothing.

    Raises:
        InputError: the file can't be written.
    """
    if path is not None:
        with written_whole(path, hint) as temporary:
            temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def read(path: Path) -> Result:
    """Read a result that `write` wrote."""
    result: Result = json.loads(path.read_text(encoding="utf-8"))
    return result


def without_paths(text: str) -> str:
    """Remove the folders of temporary files from a message, since a result describes no file of this machine."""
    return re.sub(re.escape(tempfile.gettempdir()) + r"/\S*/", "", text)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

"""The order in which the packages may import each other, and a check of a source tree against it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

FLOORS = (
    ("_lazy", "errors", "files", "jetson", "labels", "machine", "onnx_header", "profiling", "settings", "timing"),
    ("build_record", "credentials", "grid", "images", "manifest", "mark", "models", "quality"),
    ("faces",),
    ("cuda",),
    ("backends",),
    ("engine",),
    ("bench", "builder", "doctor", "scale", "serve", "video"),
    ("cli",),
)
"""Modules and packages of ``stargan_rt``, from the ground up. A floor imports only from the floors below it."""
SHARED = 2
"""On this many floors from the ground up, modules may also import others of the same floor."""
PROGRAMS = ("stargan_rt", "training", "export", "benchmarks")
"""The top-level packages; each imports only those before it."""


def violations(root: Path) -> list[str]:
    """Return what contradicts the order, as one line per import, and a line for a cycle between modules."""
    modules = {_name(root, path): path for package in PROGRAMS for path in sorted((root / package).rglob("*.py"))}
    edges = {name: set(_imports(name, path, modules)) for name, path in modules.items()}
    found = [
        f"{name} imports {other}: {reason}"
        for name, others in edges.items()
        for other in sorted(others)
        if (reason := _refused(name, other))
    ]
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        found.append(f"these modules import each other: {' -> '.join(error.args[1])}")
    return found


def _refused(name: str, other: str) -> str:
    package, target = name.partition(".")[0], other.partition(".")[0]
    if package != target:
        down = PROGRAMS.index(target) < PROGRAMS.index(package)
        return "" if down else f"{package} must not import {target}"
    if package != "stargan_rt" or "." not in name or "." not in other:
        return ""  # the programs have no floors; the front imports its names when they are first used
    own, others = _room(name), _room(other)
    if own == others:
        return ""
    floor, below = _floor(own), _floor(others)
    if floor is None or below is None:
        return f"{own if floor is None else others} has no place in the floor plan; add it to FLOORS"
    if below > floor:
        return f"{others} is on floor {below + 1}, above {own} on floor {floor + 1}"
    if below == floor and floor >= SHARED:
        return f"{own} and {others} are on the same floor"
    return ""


def _room(name: str) -> str:
    return name.split(".")[1]


def _floor(room: str) -> int | None:
    return next((number for number, rooms in enumerate(FLOORS) if room in rooms), None)


def _name(root: Path, path: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(name: str, path: Path, modules: dict[str, Path]) -> Iterator[str]:
    """The modules of this project that a file imports, wherever in the file; those of a module's own name left out."""
    if name == "stargan_rt":
        return  # the front: lazy, and the names under TYPE_CHECKING come from every floor
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from package import module` imports the module; `from package import name` the package.
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            wanted = [full if full in modules else _home(node.module, full) for full in inside]
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"{path}: relative imports are not used here")
        else:
            continue
        yield from (module for module in wanted if module in modules and module != name)


def _home(module: str, full: str) -> str:
    """Where a name of the front comes from, so that `from stargan_rt import Engine` counts as an import of engine."""
    if module != "stargan_rt":
        return module
    import stargan_rt

    value = getattr(stargan_rt, full.rpartition(".")[2], None)
    return getattr(value, "__module__", module)

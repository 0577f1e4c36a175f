"""Imports run one way: no floor imports from a floor above it, and nothing imports in a circle."""

import shutil

import pytest
from floor_plan import PROGRAMS, violations


def test_imports_follow_the_floor_plan(root):
    assert violations(root) == []


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        ("stargan_rt/labels.py", "from stargan_rt.engine import Engine", "engine is on floor 6, above labels"),
        ("stargan_rt/labels.py", "from stargan_rt import Engine", "engine is on floor 6, above labels"),
        ("stargan_rt/cuda/lane.py", "import stargan_rt.backends.base", "backends is on floor 5, above cuda"),
        ("stargan_rt/builder/gate.py", "from stargan_rt.bench.report import measure", "on the same floor"),
        ("stargan_rt/doctor.py", "def late():\n    from export import norms", "stargan_rt must not import export"),
        ("training/losses.py", "import benchmarks.race", "training must not import benchmarks"),
        ("stargan_rt/errors.py", "import stargan_rt.files", "import each other"),
        ("stargan_rt/attic.py", "import stargan_rt.labels", "attic has no place in the floor plan"),
    ],
)
def test_a_planted_import_is_found(root, tmp_path, file, line, said):
    for package in PROGRAMS:
        shutil.copytree(
            root / package,
            tmp_path / package,
            ignore=lambda _, names: [n for n in names if "." in n and not n.endswith(".py")],
        )
    planted = tmp_path / file
    planted.write_text((planted.read_text() if planted.exists() else "") + f"\n{line}\n")
    assert [found for found in violations(tmp_path) if said in found]

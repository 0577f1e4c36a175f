"""`python -m benchmarks`: quick to list, clear about what is missing."""

import subprocess
import sys

import pytest

from benchmarks.__main__ import COMMANDS, main
from stargan_rt.errors import MissingDependencyError


def test_help_imports_no_library(root):
    code = (
        "import sys, benchmarks.__main__ as b\n"
        "b.main(['--help'], standalone_mode=False)\n"
        "assert not {'torch', 'onnx', 'openvino', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_is_there(name, capsys):
    main([name, "--help"], standalone_mode=False)
    assert name in capsys.readouterr().out


def test_a_missing_package_is_said(monkeypatch):
    monkeypatch.setitem(COMMANDS, "compare", ("benchmarks.no_such_module:main", ""))
    with pytest.raises(MissingDependencyError, match=r"`compare` needs benchmarks.no_such_module, .*pip install"):
        main(["compare"], standalone_mode=False)

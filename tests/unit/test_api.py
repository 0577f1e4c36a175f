"""The public names: those in `__all__`, in `dir()` and in docs/api.md are the same."""

import inspect
import pkgutil
import re
import subprocess
import sys
from functools import cached_property
from importlib import import_module

import pytest

import stargan_rt

CLASSES = ("Artifact", "BuildConfig", "Engine", "LabelSpace", "Manifest")
PUBLIC_PACKAGES = ("faces",)


@pytest.fixture(scope="module")
def headings(root):
    """Return what the headings of docs/api.md name, such as `Engine.size` or `build(onnx_path, …)`."""
    text = (root / "docs" / "api.md").read_text()
    return [name for line in re.findall(r"^###? (.*)$", text, re.M) for name in re.findall(r"`([^`]+)`", line)]


def test_all_is_sorted_and_in_dir():
    assert sorted(stargan_rt.__all__) == stargan_rt.__all__
    assert set(stargan_rt.__all__) <= set(dir(stargan_rt))
    for name in stargan_rt.__all__:
        assert inspect.getdoc(getattr(stargan_rt, name)), name
    with pytest.raises(AttributeError, match="no attribute 'Engin'"):
        stargan_rt.Engin  # noqa: B018


def test_the_docs_name_every_public_name_and_no_other(root):
    text = (root / "docs" / "api.md").read_text()
    tables = [name for row in re.findall(r"^\|(.*?)\|", text, re.M) for name in re.findall(r"`(\w+)`", row)]
    assert set(stargan_rt.__all__) <= set(tables)
    imported = re.findall(r"^\s*from stargan_rt import (.+)$", text, re.M)
    assert {name for line in imported for name in line.split(", ")} <= set(stargan_rt.__all__)


@pytest.mark.parametrize("name", CLASSES)
def test_the_docs_have_every_public_member(name, headings):
    cls = getattr(stargan_rt, name)
    kinds = (property, classmethod, staticmethod, cached_property)
    members = {
        member
        for member, value in vars(cls).items()
        if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, kinds))
    }
    documented = {text.partition("(")[0].partition(".")[2] for text in headings if text.startswith(f"{name}.")}
    assert members <= documented
    for member in members:
        assert inspect.getdoc(getattr(cls, member)), member


def test_the_docs_show_signatures_as_they_are(headings):
    shown = [text for text in headings if "(" in text]
    assert len(shown) > 10
    for text in shown:
        value = stargan_rt
        for part in text.partition("(")[0].split("."):
            value = getattr(value, part)
        assert text.partition("(")[2] == signature(value) + ")", text


def signature(function) -> str:
    """Return the parameters of a function as the docs show them; a callable default is an ellipsis."""
    parts, seen_star = [], False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not seen_star:
            parts.append("*")
            seen_star = True
        default = parameter.default
        shown = "…" if callable(default) else f'"{default}"' if isinstance(default, str) else repr(default)
        parts.append(parameter.name if default is parameter.empty else f"{parameter.name}={shown}")
    return ", ".join(parts)


def test_every_package_says_whether_it_is_public():
    assert "Every other module is private" in " ".join(stargan_rt.__doc__.split())
    for module in pkgutil.iter_modules(stargan_rt.__path__):
        if module.ispkg and module.name not in PUBLIC_PACKAGES:
            assert "Private" in import_module(f"stargan_rt.{module.name}").__doc__, module.name


def test_errors_form_one_tree():
    for name in stargan_rt.__all__:
        if name.endswith("Error"):
            assert issubclass(getattr(stargan_rt, name), stargan_rt.StarGANError)


def _modules_after(code: str) -> set[str]:
    command = f"import sys; {code}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_help_needs_nothing_but_click():
    loaded = _modules_after("from stargan_rt.cli import main")
    assert not loaded & {"numpy", "cv2", "onnx", "onnxruntime", "openvino", "rich", "torch"}


def test_translating_needs_no_torch():
    code = "from stargan_rt import Engine; e = Engine.load(); e.translate(e.manifest and _face, 'happy')"
    code = "import numpy as np; _face = np.zeros((64, 64, 3), np.uint8); " + code
    loaded = _modules_after(code)
    assert not loaded & {"torch", "PIL", "training", "export", "onnxruntime"}

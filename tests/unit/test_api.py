import inspect
import subprocess
import sys

import stargan_rt


def test_every_public_name_is_there_and_documented():
    assert sorted(stargan_rt.__all__) == stargan_rt.__all__
    for name in stargan_rt.__all__:
        assert inspect.getdoc(getattr(stargan_rt, name)), name


def test_public_methods_are_documented():
    for cls in (stargan_rt.Engine, stargan_rt.LabelSpace, stargan_rt.Manifest):
        for name, member in vars(cls).items():
            if not name.startswith("_") and (callable(member) or isinstance(member, (property, classmethod))):
                assert inspect.getdoc(member), f"{cls.__name__}.{name}"


def test_errors_form_one_tree():
    for name in stargan_rt.__all__:
        if name.endswith("Error"):
            assert issubclass(getattr(stargan_rt, name), stargan_rt.StarGANError)


def test_the_docs_name_the_public_api(root):
    text = (root / "docs" / "api.md").read_text()
    missing = [name for name in stargan_rt.__all__ if f"`{name}`" not in text and f"`{name}." not in text]
    assert missing == []


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

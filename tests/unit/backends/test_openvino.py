"""What is particular to OpenVINO."""

import subprocess
import sys

import numpy as np

from stargan_rt import Engine, machine
from stargan_rt.backends.openvino import OpenVINO
from stargan_rt.backends.options import RunOptions
from stargan_rt.manifest import read_manifest

CTRL_C = """
import signal, sys, threading
from stargan_rt import Engine
engine = Engine.load(sys.argv[1], backend="openvino")
def end():
    global engine
    engine.close()
    del engine
thread = threading.Thread(target=end)
thread.start()
thread.join()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_after_the_last_engine_was_closed_on_another_thread(model):
    """OpenVINO frees the signal stack of the thread that loaded it with the last of its objects."""
    done = subprocess.run([sys.executable, "-c", CTRL_C, str(model)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "interrupted"), done.stderr


def test_processes_do_not_fight_for_the_first_core(model, monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 4)
    for threads, pinned in ((1, False), (None, True)):
        backend = OpenVINO(model, read_manifest(model), RunOptions(threads=threads))
        assert backend.compiled.get_property("ENABLE_CPU_PINNING") is pinned
        backend.close()


def test_a_batch_is_one_image_after_the_other(model, random):
    images = random.integers(0, 256, (5, 32, 32, 3), np.uint8)
    with Engine.load(model, backend="openvino") as engine:
        names = engine.labels.names[:5]
        batch = engine.translate(images, names)
        for out, image, name in zip(batch, images, names, strict=True):
            np.testing.assert_array_equal(out, engine.translate(image, name))

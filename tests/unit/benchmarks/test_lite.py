"""The comparison of generators with fewer multiplications."""

import torch

from benchmarks.case import gmac
from benchmarks.lite import EAGER, NETWORKS, STANDARD, markdown
from training.architectures import new_generator
from training.config import PRESETS, TrainConfig


def test_multiplications_are_counted():
    """A convolution of 3x3 from 2 to 4 channels needs 72 of them for each pixel."""

    class OneConvolution(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Conv2d(2, 4, 3, padding=1)

        def forward(self, image, label):
            return self.layer(image[:, :2])

    assert gmac(OneConvolution(), (10, 20), 5) == 72 * 200 / 1e9


def test_the_presets_of_distill_are_measured():
    for preset in ("lite", "tiny"):
        settings = TrainConfig.read(PRESETS[preset])
        shown = {name: settings[name] for name in ("arch", "conv_dim", "blocks")}
        assert any(shown.items() <= arguments.items() for arguments in NETWORKS.values()), preset


def test_lite_networks_have_the_fewest_multiplications():
    counts = [gmac(new_generator({"label_dim": 5, **arguments}).eval(), (32, 32), 5) for arguments in NETWORKS.values()]
    assert NETWORKS[STANDARD] == {"conv_dim": 64, "blocks": 6}
    assert counts[0] / counts[-2] > 15


def test_the_table_names_every_network_and_its_ratio():
    ratio = {"median": 80.0, "low": 79.0, "high": 81.0}
    row = {"gmac": 0.5, "fewer": 20.0, "ms": 1.5, "times_eager": ratio, "times_standard": ratio}
    machine = {"cpu": "a CPU", "cores": 2, "threads": 2, "gpu": None, "system": "Linux", "libraries": {}}
    shown = markdown({"machine": machine, "settings": {}, "networks": dict.fromkeys(NETWORKS, row)})
    assert all(name in shown for name in NETWORKS)
    assert "80.0" in shown
    assert EAGER in shown

"""Find out whether a checkpoint was trained with instance statistics or with running statistics.

The authors' public code stores running statistics in its norms and never uses them. A checkpoint of a fork
that does use them has the same keys. Both kinds of output are compared with the input: a generator changes
little of an image, so the output with the statistics of its training is closer to the input.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from torch import nn

from export.generator import Loaded, load_generator
from export.graph import InferenceGraph
from stargan_rt.errors import ExportError
from stargan_rt.grid import captioned_grid
from stargan_rt.images import read_image, resize, write_image
from stargan_rt.models import bundled_samples
from training.architectures import AnyGenerator

CLEAR = 1.2
"""One mode must be this many times closer to the input for a clear result."""


def with_running_statistics(loaded: Loaded) -> AnyGenerator:
    """Return a copy of the generator whose norms use the checkpoint's running statistics.

    Raises:
        ExportError: the checkpoint has no running statistics for one of the norms.
    """
    generator = copy.deepcopy(loaded.generator)
    for name, module in generator.named_modules():
        if isinstance(module, nn.InstanceNorm2d):
            try:
                mean, var = loaded.running[f"{name}.running_mean"], loaded.running[f"{name}.running_var"]
            except KeyError:
                raise ExportError(
                    f"the checkpoint has no running statistics for {name}; export uses instance statistics"
                ) from None
            module.register_buffer("running_mean", mean)
            module.register_buffer("running_var", var)
            module.track_running_stats = True
    return generator.eval()


def distances(loaded: Loaded, output: Path) -> dict[str, float]:
    """Translate samples in both modes and write the picture `output`.

    Returns:
        Mean absolute difference from the input in levels of 255, by mode: ``"instance"`` and ``"running"``.
    """
    size = loaded.size or (128, 128)
    images = np.stack([resize(read_image(path), size) for path in bundled_samples()[:4]])
    label = torch.from_numpy(np.repeat(loaded.space.encode(loaded.space.names[0])[None], len(images), axis=0))
    columns = [images]
    modes = {"instance": loaded.generator, "running": with_running_statistics(loaded)}
    differences = {}
    for mode, generator in modes.items():
        with torch.no_grad():
            pictures = InferenceGraph(generator)(torch.from_numpy(images), label).numpy()
        columns.append(pictures)
        differences[mode] = float(np.abs(pictures.astype(float) - images).mean())
    captions = ["input", *(f"{mode} statistics" for mode in modes)]
    write_image(output, captioned_grid(list(zip(*columns, strict=True)), captions, width=len(captions)))
    return differences


def compare_norms(checkpoint: Path, labels: tuple[str, ...], output: Path) -> str:
    """Render a checkpoint in both modes into `output` and return the verdict in words.

    Raises:
        ExportError: the checkpoint can't be loaded, or has running statistics for only some of its norms.
    """
    loaded = load_generator(checkpoint, labels, unnamed=True)
    if not loaded.running:
        return f"{checkpoint} has no running statistics: instance statistics are the only mode, and right"
    found = distances(loaded, output)
    lines = [
        f"{mode} statistics: {distance:.1f} levels of 255 from the input on average" for mode, distance in found.items()
    ]
    instance, running = found["instance"], found["running"]
    if running >= CLEAR * instance:
        verdict = "right: instance statistics, which export uses"
    elif instance >= CLEAR * running:
        verdict = "right: running statistics, unlike StarGAN's; export would give other pictures"
    else:
        verdict = "not clear from the pictures; the authors' code uses instance statistics"
    return "\n".join([*lines, f"{verdict}; see {output}"])

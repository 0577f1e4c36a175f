"""Quantisation-aware training: a generator computes through the int8 grids that a build will write.

Rounding has no gradient of use, so the backward pass skips it (straight-through), except for values that are clipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stargan_rt.builder.quantize import LEVELS, SAMPLE, Grid, best_scale


def convolutions(generator: nn.Module) -> dict[str, nn.Module]:
    """Return the convolutions that a build may quantise, by name: all but the first."""
    layers = [
        (name, module)
        for name, module in generator.named_modules()
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))
    ]
    return dict(layers[1:])


@torch.no_grad()
def calibrate(generator: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], signed: bool = False) -> dict[str, Grid]:
    """Choose the activation grid of each convolution, as `stargan_rt.builder.quantize.activation_grids` does.

    Args:
        generator: in evaluation mode.
        batches: images ``(n, 3, h, w)`` and label vectors ``(n, dim)``.
        signed: activations that are never negative use int8 as well, as TensorRT requires; otherwise uint8.
    """
    layers = convolutions(generator)
    samples: dict[str, list[np.ndarray]] = {name: [] for name in layers}
    largest, negative = dict.fromkeys(layers, 0.0), dict.fromkeys(layers, signed)
    random = np.random.default_rng(0)

    def watch(name: str, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0].float().cpu().numpy().ravel()
        negative[name] = negative[name] or float(values.min()) < 0
        largest[name] = max(largest[name], float(np.abs(values).max()))
        samples[name].append(np.abs(values[random.integers(0, values.size, SAMPLE)]))

    handles = [layer.register_forward_pre_hook(partial(watch, name)) for name, layer in layers.items()]
    try:
        for image, label in batches:
            generator(image, label)
    finally:
        for handle in handles:
            handle.remove()
    grids = {}
    for name in layers:
        grid = Grid(1.0, negative[name])
        scale = best_scale(np.concatenate(samples[name]), largest[name], grid.levels)
        grids[name] = Grid(scale, grid.signed)
    return grids


class Int8Generator(nn.Module):
    """Another generator's weights and layers, computed through int8 grids.

    Args:
        generator: its parameters are shared and receive the gradients.
        grids: the activation grid of each convolution of `convolutions`. Weights have a symmetric grid for each output
            channel, up to its largest weight.
    """

    def __init__(self, generator: nn.Module, grids: dict[str, Grid]) -> None:
        super().__init__()
        self.generator, self.grids = generator, grids

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        """Translate; arguments and result are the generator's."""
        layers = convolutions(self.generator)
        hooks = [
            layer.register_forward_pre_hook(partial(_quantize_input, self.grids[name]))
            for name, layer in layers.items()
        ]
        weights = {f"{name}.weight": _quantized_weight(layer) for name, layer in layers.items()}
        try:
            out: Tensor = torch.func.functional_call(self.generator, weights, (image, label))
        finally:
            for hook in hooks:
                hook.remove()
        return out


def _quantize_input(grid: Grid, _: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    low = -grid.levels if grid.signed else 0
    return (torch.fake_quantize_per_tensor_affine(inputs[0].float(), grid.scale, 0, low, grid.levels), *inputs[1:])


def _quantized_weight(layer: Any) -> Tensor:
    axis = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
    others = [dim for dim in range(layer.weight.dim()) if dim != axis]
    scales = layer.weight.detach().abs().amax(others).float().clamp(min=1e-12) / LEVELS
    zeros = torch.zeros_like(scales, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(layer.weight, scales, zeros, axis, -LEVELS, LEVELS)

"""The lite generator: the same task as the paper's generator with a twentieth of the multiplications."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.model import InstanceNorm

COLOURS = 3
KEEP = -1.0
"""Initial bias of the mask logits, so that a new generator begins by keeping most of the image."""


class LiteBlock(nn.Module):
    """Two 3x3 convolutions around an identity; the label shifts what lies between them.

    Args:
        channels: of its input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = InstanceNorm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = InstanceNorm(channels)

    def forward(self, x: Tensor, shift: Tensor) -> Tensor:
        """Apply the block.

        Args:
            x: ``(n, channels, h, w)``.
            shift: ``(n, channels, 1, 1)``, added to the first norm's output.
        """
        out: Tensor = x + self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)) + shift)))
        return out


class LiteGenerator(nn.Module):
    """Translate images at a small part of the cost of `training.model.Generator`.

    It differs from the paper's generator in four ways:

    - The image enters by space-to-depth and leaves by pixel shuffle, so no convolution runs at full size.
    - The label enters behind the norms, as a shift of every channel. In the paper's generator it enters as
      constant planes, of which the first norm removes all but their effect along the border.
    - The features of the stem are added to those of the same size in front of the last convolution.
    - The last convolution gives a colour and a mask: the output is the input where the mask is 0. A translation
      changes a small part of the image, and the rest need not pass the bottleneck.

    Args:
        label_dim: length of the label vector, the mask of a joint model included.
        conv_dim: channels of the first convolution; each halving of the size doubles them. Multiples of 16 fill
            vector lanes and tensor cores.
        blocks: number of residual blocks.
        stem: side of the pixel blocks that space-to-depth makes one pixel of.
        bottleneck: by how much the residual blocks' images are smaller than the input; `stem` times a power of 2.
    """

    def __init__(self, label_dim: int, conv_dim: int = 32, blocks: int = 4, stem: int = 2, bottleneck: int = 4) -> None:
        super().__init__()
        halvings = (bottleneck // stem).bit_length() - 1
        if stem < 1 or bottleneck != stem << halvings:
            raise ValueError(f"bottleneck must be stem times a power of 2; got stem {stem} and bottleneck {bottleneck}")
        self.stem = stem
        widths = [conv_dim << level for level in range(halvings + 1)]
        self.first = nn.Conv2d(COLOURS * stem**2, conv_dim, 5, padding=2, bias=False)
        self.down = nn.ModuleList(
            nn.Conv2d(wide, wider, 4, 2, 1, bias=False) for wide, wider in itertools.pairwise(widths)
        )
        self.down_norms = nn.ModuleList(InstanceNorm(width) for width in widths)
        self.blocks = nn.ModuleList(LiteBlock(widths[-1]) for _ in range(blocks))
        self.up = nn.ModuleList(
            nn.Conv2d(wider, 4 * wide, 3, padding=1, bias=False)
            for wide, wider in reversed(list(itertools.pairwise(widths)))
        )
        self.up_norms = nn.ModuleList(InstanceNorm(width) for width in reversed(widths[:-1]))
        self.last = nn.Conv2d(conv_dim, (COLOURS + 1) * stem**2, 5, padding=2)
        assert self.last.bias is not None
        with torch.no_grad():
            self.last.bias.zero_()
            self.last.bias[COLOURS * stem**2 :] = KEEP
        self.shifts = [*widths, *[widths[-1]] * blocks, *reversed(widths[:-1])]
        self.label = nn.Linear(label_dim, sum(self.shifts), bias=False)

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        """Translate.

        Args:
            image: float ``(n, 3, h, w)`` in [-1, 1], RGB; h and w are multiples of `bottleneck`.
            label: float ``(n, label_dim)``.

        Returns:
            Float ``(n, 3, h, w)`` in [-1, 1], RGB.
        """
        shifts = iter(self.label(label)[:, :, None, None].split(self.shifts, dim=1))
        x, kept = F.pixel_unshuffle(image, self.stem), []
        for convolution, norm in zip([self.first, *self.down], self.down_norms, strict=True):
            x = F.relu(norm(convolution(x)) + next(shifts))
            kept.append(x)
        kept.pop()
        for block in self.blocks:
            x = block(x, next(shifts))
        for convolution, norm in zip(self.up, self.up_norms, strict=True):
            x = F.relu(norm(F.pixel_shuffle(convolution(x), 2)) + next(shifts)) + kept.pop()
        colour, mask = F.pixel_shuffle(self.last(x), self.stem).split([COLOURS, 1], dim=1)
        return image + torch.sigmoid(mask) * (torch.tanh(colour) - image)

"""A lite generator whose first channels and first blocks are smaller lite generators (weight sharing).

A child takes the leading channels of every layer of its parent. One training of the parent trains all children, so that
their quality can be compared before any of them is trained on its own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.lite import LiteGenerator


def child(parent: LiteGenerator, conv_dim: int, blocks: int) -> LiteGenerator:
    """Copy a child out of its parent.

    Args:
        parent: at least as wide and as deep as the child.
        conv_dim: channels of the child's first convolution.
        blocks: number of the child's residual blocks.
    """
    made = _skeleton(parent, conv_dim, blocks)
    made.load_state_dict({name: weight.detach().clone() for name, weight in _shared(parent, made).items()})
    return made.to(parent.first.weight.device).train(parent.training)


class NestedGenerator(nn.Module):
    """A parent that computes as one of its children in each call.

    Every third call is the whole parent, every third the smallest child, and the others take turns among all.

    Args:
        parent: its parameters are shared and receive the gradients.
        widths: `conv_dim` of the children.
        depths: numbers of blocks of the children.
        seed: of the draws among all children.
    """

    def __init__(self, parent: LiteGenerator, widths: tuple[int, ...], depths: tuple[int, ...], seed: int = 0) -> None:
        super().__init__()
        self.parent = parent
        self.shapes = [(width, depth) for width in sorted(widths) for depth in sorted(depths)]
        self.skeletons = {shape: _skeleton(parent, *shape) for shape in self.shapes}
        self.random, self.calls = torch.Generator().manual_seed(seed), 0

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        """Translate; arguments and result are the parent's."""
        anyone = int(torch.randint(len(self.shapes), (1,), generator=self.random))
        index = (len(self.shapes) - 1, 0, anyone)[self.calls % 3]
        self.calls += 1
        skeleton = self.skeletons[self.shapes[index]].train(self.training)
        out: Tensor = torch.func.functional_call(skeleton, _shared(self.parent, skeleton), (image, label))
        return out


def _skeleton(parent: LiteGenerator, conv_dim: int, blocks: int) -> LiteGenerator:
    label_dim = parent.label.in_features
    return LiteGenerator(label_dim, conv_dim, blocks, parent.stem, parent.stem << len(parent.down)).requires_grad_(
        False
    )


def _shared(parent: LiteGenerator, made: LiteGenerator) -> dict[str, Tensor]:
    """Return the parent's parameters in the shapes of a child, as views."""
    wide = dict(parent.named_parameters())
    views = {}
    for name, own in made.named_parameters():
        if name != "label.weight":
            views[name] = wide[name][tuple(slice(size) for size in own.shape)]
    # The shifts of all norms lie behind one another; those of missing blocks are left out.
    segments = parent.label.weight.split(parent.shifts)
    stem, blocks = len(parent.down) + 1, len(made.blocks)
    kept = [*segments[: stem + blocks], *segments[stem + len(parent.blocks) :]]
    views["label.weight"] = torch.cat([s[:width] for s, width in zip(kept, made.shifts, strict=True)])
    return views

"""The two networks of the paper (arXiv 1711.09020, appendix 7.1, tables 4 and 5).

The modules are laid out so that state dicts of the authors' public code load: `main.0.weight`,
`main.6.main.0.weight`, `conv1.weight`, …
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAK = 0.01
"""Negative slope of the discriminator's leaky ReLUs."""


class InstanceNorm(nn.InstanceNorm2d):
    """Instance normalisation with the statistics of the image itself, in training and in evaluation mode.

    The authors' code tracks running statistics but never switches to evaluation mode, so its results
    come from instance statistics too; running statistics would change them.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            # One group for each channel is the same function, without instance_norm's copies in channels-last.
            return F.group_norm(x, self.num_features, self.weight, self.bias, self.eps)
        return super().forward(x)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with an identity shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            InstanceNorm(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            InstanceNorm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.main(x)
        return out


class Generator(nn.Module):
    """The generator: translates an image to the domain of a label vector (paper, table 4).

    Args:
        label_dim: length of the label vector, including the mask.
        conv_dim: channels of the first convolution; the bottleneck has four times as many.
        blocks: number of residual blocks.
    """

    def __init__(self, label_dim: int, conv_dim: int = 64, blocks: int = 6) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(3 + label_dim, conv_dim, 7, padding=3, bias=False),
            InstanceNorm(conv_dim),
            nn.ReLU(inplace=True),
        ]
        width = conv_dim
        for _ in range(2):
            layers += [nn.Conv2d(width, width * 2, 4, 2, 1, bias=False), InstanceNorm(width * 2), nn.ReLU(inplace=True)]
            width *= 2
        layers += [ResidualBlock(width) for _ in range(blocks)]
        for _ in range(2):
            layers += [
                nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False),
                InstanceNorm(width // 2),
                nn.ReLU(inplace=True),
            ]
            width //= 2
        layers += [nn.Conv2d(width, 3, 7, padding=3, bias=False), nn.Tanh()]
        self.main = nn.Sequential(*layers)

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        """Translate images.

        Args:
            image: float ``(n, 3, h, w)`` in [-1, 1], RGB; h and w are multiples of 4.
            label: float ``(n, label_dim)``.

        Returns:
            Float ``(n, 3, h, w)`` in [-1, 1], RGB.
        """
        maps = label[:, :, None, None].expand(-1, -1, image.shape[2], image.shape[3])
        out: Tensor = self.main(torch.cat([image, maps.to(image.dtype)], dim=1))
        return out


class Discriminator(nn.Module):
    """The discriminator: PatchGAN scores and label logits (paper, table 5).

    Args:
        image_size: side of the images; a multiple of 2 ** `layers`.
        label_dim: number of labels that it classifies, without a mask.
        conv_dim: channels of the first convolution; each layer doubles them.
        layers: number of stride-2 convolutions.

    Raises:
        ValueError: an image size that is not such a multiple.
    """

    def __init__(self, image_size: int, label_dim: int, conv_dim: int = 64, layers: int = 6) -> None:
        super().__init__()
        if image_size % 2**layers:
            raise ValueError(
                f"image_size {image_size} is not a multiple of 2**{layers} = {2**layers}: use fewer discriminator "
                "layers or another size"
            )
        stack: list[nn.Module] = [nn.Conv2d(3, conv_dim, 4, 2, 1), nn.LeakyReLU(LEAK)]
        width = conv_dim
        for _ in range(layers - 1):
            stack += [nn.Conv2d(width, width * 2, 4, 2, 1), nn.LeakyReLU(LEAK)]
            width *= 2
        self.main = nn.Sequential(*stack)
        self.conv1 = nn.Conv2d(width, 1, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, label_dim, image_size // 2**layers, bias=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Score and classify images.

        Args:
            image: float ``(n, 3, image_size, image_size)`` in [-1, 1], RGB.

        Returns:
            Scores, ``(n, 1, image_size / 2**layers, image_size / 2**layers)``; label logits,
            ``(n, label_dim)``.
        """
        features = self.main(image)
        return self.conv1(features), self.conv2(features).flatten(1)

    def score_gradient(self, image: Tensor) -> Tensor:
        """Return the gradient of the summed scores by the image; it can be differentiated by the weights.

        The network is piecewise linear, so the slopes of its activations are constants, and the gradient is a
        chain of transposed convolutions through the layers in reverse. It equals
        `torch.autograd.grad(score.sum(), image, create_graph=True)` at about half the work, because the
        forward pass needs no graph and nothing is differentiated twice.

        Args:
            image: float ``(n, 3, image_size, image_size)`` in [-1, 1].

        Returns:
            Float, of the image's shape.
        """
        slopes, out = [], image
        with torch.no_grad():
            for layer in self.main:
                if isinstance(layer, nn.LeakyReLU):
                    slopes.append(torch.where(out > 0, 1.0, layer.negative_slope).to(out.dtype))
                out = layer(out)
            gradient = torch.ones_like(self.conv1(out))
        gradient = F.conv_transpose2d(gradient, self.conv1.weight, padding=1)
        convolutions = [layer for layer in self.main if isinstance(layer, nn.Conv2d)]
        for convolution, slope in zip(reversed(convolutions), reversed(slopes), strict=True):
            gradient = F.conv_transpose2d(gradient * slope, convolution.weight, stride=2, padding=1)
        return gradient

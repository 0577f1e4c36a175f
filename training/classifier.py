"""The classifier of real images that scores translated ones (paper, section 5.4)."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn

from stargan_rt.files import CACHE_HINT, cache_folder, written_whole
from training.batch import step_random
from training.data.dataset import Dataset, to_network
from training.losses import classification_loss

BATCH = 32
NAME = "4-layer convolutional classifier, penultimate features"


class Classifier(nn.Module):
    """Four stride-2 convolutions with batch norm, then linear layers; 128 features for each image."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        widths = (3, 16, 32, 64, 128)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, 5, 2, 2, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(512, 128), nn.ReLU())
        self.head = nn.Linear(128, labels)

    def features(self, images: Tensor) -> Tensor:
        """Return features ``(n, 128)`` of images, float ``(n, 3, h, w)`` in [-1, 1]."""
        out: Tensor = self.body(images)
        return out

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(n, labels)`` of images, float ``(n, 3, h, w)`` in [-1, 1]."""
        out: Tensor = self.head(self.features(images))
        return out


def trained_classifier(data: Dataset, steps: int = 1500, device: str = "cpu") -> Classifier:
    """Train a classifier of a data set's labels, or load it from the cache.

    Args:
        data: real images.
        steps: training steps of 32 images; the learning rate falls to zero over them.
        device: device of the classifier.

    Raises:
        InputError: the cache can't be written.
    """
    torch.manual_seed(0)
    classifier = Classifier(len(data.names)).to(device)
    path = _cached(data, steps)
    if path.is_file():
        classifier.load_state_dict(torch.load(path, map_location=device, weights_only=True))
        return classifier.eval()
    optimizer = torch.optim.Adam(classifier.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in track(range(steps), f"Training a classifier of {data.name}"):
        images, label = (t.to(device) for t in data.batch(BATCH, step_random(0, step, 0)))
        optimizer.zero_grad()
        classification_loss(classifier(images), label, data.one_of_k).backward()
        optimizer.step()
        schedule.step()
    with written_whole(path, CACHE_HINT) as temporary:
        torch.save(classifier.state_dict(), temporary)
    return classifier.eval()


@torch.no_grad()
def classify(classifier: Classifier, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return logits ``(n, labels)`` and features ``(n, 128)`` of images, uint8 ``(n, h, w, 3)`` RGB."""
    device = next(classifier.parameters()).device
    logits, features = [], []
    for start in range(0, len(images), 64):
        feature = classifier.features(to_network(images[start : start + 64]).to(device))
        features.append(feature.cpu().numpy())
        logits.append(classifier.head(feature).cpu().numpy())
    return np.concatenate(logits), np.concatenate(features)


def _cached(data: Dataset, steps: int) -> Path:
    # A sample of the pixels is enough: data sets that differ do so in every image.
    digest = hashlib.sha256(Path(__file__).read_bytes())
    digest.update(f"{data.names} {data.images.shape} {steps}".encode())
    digest.update(data.images[:: max(1, len(data.images) // 16)].tobytes())
    digest.update(data.labels.tobytes())
    return cache_folder() / "classifiers" / f"{digest.hexdigest()[:16]}.pt"

"""Peers that go wrong, to be made in a contestant's process."""

from __future__ import annotations

import os

import numpy as np

from benchmarks.peers import Runner


def black(case):
    """It answers at once, and wrongly."""
    return Runner(lambda image, label: np.zeros_like(image), "fp32")


def raising(case):
    raise RuntimeError("the compiler gave up\nwith details")


def dying(case):
    print("illegal instruction", flush=True)
    os._exit(3)


def dying_later(case):
    """Its pictures are made, its first turn ends it."""
    return Runner(lambda image, label: image, "fp32", timed=lambda calls: os._exit(4))

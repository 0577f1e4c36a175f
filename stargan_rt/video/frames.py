"""What passes through the stages: frames, and packets that are copied."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from stargan_rt.faces import Region
from stargan_rt.images import Pixels


@dataclass
class Item:
    """A frame of the source, or a packet of its sound.

    Attributes:
        pixels: uint8 ``(H, W, 3)``, RGB, upright; of a packet None.
        pts: presentation time in units of `time_base`.
        time_base: unit of `pts` in seconds.
        packet: of sound, to be copied as it is; of a frame None.
        regions: of the faces to be translated.
        crops: what the network is given, uint8 ``(h, w, 3)``, RGB.
        translated: its translations.
    """

    pixels: Pixels | None = None
    pts: int = 0
    time_base: Fraction = Fraction(1, 1000)
    packet: Any = None
    regions: list[Region] = field(default_factory=list)
    crops: list[Pixels] = field(default_factory=list)
    translated: Pixels | None = None

    @property
    def seconds(self) -> float:
        """Presentation time in seconds."""
        return float(self.pts * self.time_base)

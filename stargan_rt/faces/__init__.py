"""Faces in pictures: where they are, how they are cut out for the network, and how they are put back."""

from stargan_rt.faces.alignment import ALIGNMENTS, aligned_region
from stargan_rt.faces.detector import FaceDetector
from stargan_rt.faces.face import Face
from stargan_rt.faces.regions import Layout, Region, Size, crop, paste

__all__ = ["ALIGNMENTS", "Face", "FaceDetector", "Layout", "Region", "Size", "aligned_region", "crop", "paste"]

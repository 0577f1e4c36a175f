"""Faces in pictures: the region that a face takes of a frame, cut out for the network and blended back."""

from stargan_rt.faces.regions import Layout, Region, Size, crop, paste

__all__ = ["Layout", "Region", "Size", "crop", "paste"]

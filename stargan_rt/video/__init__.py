"""Clips and cameras: the faces of every frame translated.

Private: the interface is `stargan-rt video`.
"""

from stargan_rt.video.run import VideoOptions, VideoReport, translate_video

__all__ = ["VideoOptions", "VideoReport", "translate_video"]

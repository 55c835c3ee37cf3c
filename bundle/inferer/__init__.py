"""Whole volumes from a network that predicts points."""

from bundle.inferer.volume import VolumeInferer

__all__ = ["VolumeInferer"]

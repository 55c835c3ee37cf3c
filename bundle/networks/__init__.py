"""DiCE, the dual-dimensional cross-scale embedding network, and its parts."""

from bundle.networks.dice import DiCE
from bundle.networks.point_forward import PointForward

__all__ = ["DiCE", "PointForward"]

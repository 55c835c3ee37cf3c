"""Differentiable cone-beam forward projection and its adjoint, by interchangeable backends."""

from bundle.projector.backends import BACKENDS
from bundle.projector.operator import ConeBeamProjector

__all__ = ["BACKENDS", "ConeBeamProjector"]

"""Differentiable cone-beam forward projection and its adjoint."""

from bundle.projector.operator import ConeBeamProjector

__all__ = ["ConeBeamProjector"]

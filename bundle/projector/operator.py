"""The linear operator from volumes to projections."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from bundle.geometry import ConeBeamGeometry
from bundle.projector.backends import choose_backend
from bundle.projector.rays import ScanRays

__all__ = ["ConeBeamProjector"]


class ConeBeamProjector(nn.Module):
    """Line integrals of a volume along the rays of a cone-beam scan, and their adjoint.

    A volume of ones gives millimetres. Both directions are differentiable, each being the other's gradient, and run
    on the device of their input. Half precision is computed in single precision and rounded at the end.

    Args:
        geometry: the scan.
        backend: what computes it: "auto", or one of :data:`bundle.projector.BACKENDS`.
        max_memory_mb: bound on the memory for samples of the reference backend; its adjoint needs up to four volumes
            besides.

    Example::

        projector = ConeBeamProjector(geometry)
        projections = projector(volume)  # [B, 1, X, Y, Z] -> [B, views, V, U]
        smeared = projector.adjoint(projections)  # [B, views, V, U] -> [B, 1, X, Y, Z]
    """

    def __init__(self, geometry: ConeBeamGeometry, backend: str = "auto", max_memory_mb: float = 64.0) -> None:
        super().__init__()
        self.geometry = geometry
        self.backend = backend
        self.max_memory_bytes = max_memory_mb * 2**20
        self.rays = ScanRays(geometry)

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """Projects volumes.

        Args:
            volume: [B, 1, X, Y, Z].

        Returns:
            [B, views, V, U] line integrals in value times millimetres.

        Raises:
            ValueError: when the shape is not the geometry's.
            InputError: when the backend cannot run on the volume's device.
        """
        expected = (1, *self.geometry.volume_shape)
        if volume.ndim != 5 or tuple(volume.shape[1:]) != expected:
            raise ValueError(f"volume has shape {tuple(volume.shape)}, the geometry expects [B, {expected}].")
        return _Project.apply(volume, self)

    def adjoint(self, projections: torch.Tensor) -> torch.Tensor:
        """Applies the transpose of the projection matrix.

        Args:
            projections: [B, views, V, U].

        Returns:
            [B, 1, X, Y, Z].

        Raises:
            ValueError: when the shape is not the geometry's.
            InputError: when the backend cannot run on the projections' device.
        """
        expected = (self.geometry.num_views, *self.geometry.detector_shape)
        if projections.ndim != 4 or tuple(projections.shape[1:]) != expected:
            raise ValueError(
                f"projections have shape {tuple(projections.shape)}, the geometry expects [B, {expected}]."
            )
        return _BackProject.apply(projections, self)

    def _project(self, volume: torch.Tensor) -> torch.Tensor:
        compute = _at_least_single(volume)
        backend = choose_backend(self.backend, compute)
        return backend.project(compute[:, 0], self.rays, self.max_memory_bytes).to(volume.dtype)

    def _back_project(self, projections: torch.Tensor) -> torch.Tensor:
        compute = _at_least_single(projections)
        backend = choose_backend(self.backend, compute)
        return backend.back_project(compute, self.rays, self.max_memory_bytes)[:, None].to(projections.dtype)


class _Project(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, volume: torch.Tensor, projector: ConeBeamProjector) -> torch.Tensor:
        ctx.projector = projector
        return projector._project(volume.detach())

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _BackProject.apply(gradient, ctx.projector), None


class _BackProject(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, projections: torch.Tensor, projector: ConeBeamProjector) -> torch.Tensor:
        ctx.projector = projector
        return projector._back_project(projections.detach())

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _Project.apply(gradient, ctx.projector), None


def _at_least_single(tensor: torch.Tensor) -> torch.Tensor:
    if not tensor.is_floating_point():
        raise ValueError(f"the projector takes floating point values, not {tensor.dtype}: convert them with .float().")
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()

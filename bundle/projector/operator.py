"""The linear operator from volumes to projections."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from bundle.geometry import ConeBeamGeometry
from bundle.projector import joseph

__all__ = ["ConeBeamProjector"]


class ConeBeamProjector(nn.Module):
    """Line integrals of a volume along the rays of a cone-beam scan, and their adjoint.

    A volume of ones gives millimetres. Both directions are differentiable, each being the other's gradient, and run
    on the device and in the precision of their input.

    Args:
        geometry: the scan.
        max_memory_mb: bound on the temporary memory for sample positions and values.

    Example::

        projector = ConeBeamProjector(geometry)
        projections = projector(volume)         # [B, 1, X, Y, Z] -> [B, views, V, U]
        smeared = projector.adjoint(projections)  # [B, views, V, U] -> [B, 1, X, Y, Z]
    """

    def __init__(self, geometry: ConeBeamGeometry, max_memory_mb: float = 64.0) -> None:
        super().__init__()
        self.geometry = geometry
        self.max_memory_bytes = max_memory_mb * 2**20

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """Projects volumes.

        Args:
            volume: [B, 1, X, Y, Z].

        Returns:
            [B, views, V, U] line integrals in value times millimetres.
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
        """
        expected = (self.geometry.num_views, *self.geometry.detector_shape)
        if projections.ndim != 4 or tuple(projections.shape[1:]) != expected:
            raise ValueError(
                f"projections have shape {tuple(projections.shape)}, the geometry expects [B, {expected}]."
            )
        return _BackProject.apply(projections, self)

    def _rays(self, view: int, like: torch.Tensor) -> list[joseph.RayGroup]:
        """One view's rays, grouped by main axis, in voxel indices."""
        geometry = self.geometry
        to_index = np.linalg.inv(geometry.volume_affine)
        rotate, shift = to_index[:3, :3], to_index[:3, 3]
        as_tensor = {"dtype": like.dtype, "device": like.device}
        steps = [torch.arange(n, **as_tensor) - (n - 1) / 2 for n in geometry.detector_shape]
        centre = torch.as_tensor(rotate @ geometry.detector_centre_mm[view] + shift, **as_tensor)
        along_v = torch.as_tensor(rotate @ geometry.v_axis[view] * geometry.pixel_mm[0], **as_tensor)
        along_u = torch.as_tensor(rotate @ geometry.u_axis[view] * geometry.pixel_mm[1], **as_tensor)
        pixels = centre + steps[0][:, None, None] * along_v + steps[1][:, None] * along_u
        source = (rotate @ geometry.source_mm[view] + shift).tolist()
        return joseph.group_rays(source, pixels.reshape(-1, 3), geometry.voxel_mm)

    def _project(self, volume: torch.Tensor) -> torch.Tensor:
        rows, columns = self.geometry.detector_shape
        batch = len(volume)
        out = volume.new_zeros(batch, self.geometry.num_views, rows * columns)
        slices: dict[int, torch.Tensor] = {}
        for view in range(self.geometry.num_views):
            for group in self._rays(view, volume):
                if group.axis not in slices:
                    slices[group.axis] = joseph.to_slices(volume[:, 0], group.axis)
                along = slices[group.axis]
                for rays in group.split(joseph.rays_per_chunk(len(along), batch, self.max_memory_bytes)):
                    out[:, view, rays.pixels] = joseph.gather(along, rays)
        return out.reshape(batch, -1, rows, columns)

    def _back_project(self, projections: torch.Tensor) -> torch.Tensor:
        batch = len(projections)
        flat = projections.flatten(2)
        slices: dict[int, torch.Tensor] = {}
        empty = projections.new_zeros(batch, *self.geometry.volume_shape)
        for view in range(self.geometry.num_views):
            for group in self._rays(view, projections):
                if group.axis not in slices:
                    slices[group.axis] = torch.zeros_like(joseph.to_slices(empty, group.axis))
                along = slices[group.axis]
                for rays in group.split(joseph.rays_per_chunk(len(along), batch, self.max_memory_bytes)):
                    values = flat[:, view, rays.pixels]
                    joseph.scatter(values, rays, along)
        return sum((joseph.from_slices(s, axis) for axis, s in slices.items()), start=empty)[:, None]


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

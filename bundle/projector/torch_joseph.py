"""Joseph's method in plain PyTorch: the reference backend, which runs on every device and in every precision.

Reference: P. M. Joseph, "An improved algorithm for reprojecting rays through pixel images", IEEE Transactions on
Medical Imaging 1(3), 1982. Along a ray's main axis the volume is cut into its slices; in each the value is
interpolated bilinearly, and their sum is multiplied by the ray's length per slice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from bundle.projector.rays import ScanRays

__all__ = ["back_project", "project", "unavailable"]

# For each main axis: the two axes that remain within its slices, in volume order.
_SLICE_AXES = ((1, 2), (0, 2), (0, 1))
_BYTES_PER_SAMPLE = 24  # grid coordinates, interpolated value and temporaries, in float32


def unavailable(device: torch.device) -> str | None:
    """Why this backend cannot run on a device; None, since it always can."""
    return None


def project(volume: torch.Tensor, rays: ScanRays, max_memory_bytes: float) -> torch.Tensor:
    """Projects [B, X, Y, Z] to [B, views, V, U]."""
    batch = len(volume)
    rows, columns = rays.geometry.detector_shape
    out = volume.new_zeros(batch, rays.geometry.num_views, rows * columns)
    slices: dict[int, torch.Tensor] = {}
    for view in range(rays.geometry.num_views):
        for group in _view_groups(rays, view, volume):
            if group.axis not in slices:
                slices[group.axis] = _to_slices(volume, group.axis)
            along = slices[group.axis]
            for part in group.split(_rays_per_chunk(len(along), batch, max_memory_bytes)):
                out[:, view, part.pixels] = _gather(along, part)
    return out.reshape(batch, rays.geometry.num_views, rows, columns)


def back_project(projections: torch.Tensor, rays: ScanRays, max_memory_bytes: float) -> torch.Tensor:
    """The exact adjoint: [B, views, V, U] to [B, X, Y, Z]."""
    batch = len(projections)
    flat = projections.flatten(2)
    slices: dict[int, torch.Tensor] = {}
    empty = projections.new_zeros(batch, *rays.geometry.volume_shape)
    for view in range(rays.geometry.num_views):
        for group in _view_groups(rays, view, projections):
            if group.axis not in slices:
                slices[group.axis] = torch.zeros_like(_to_slices(empty, group.axis))
            along = slices[group.axis]
            for part in group.split(_rays_per_chunk(len(along), batch, max_memory_bytes)):
                _scatter(flat[:, view, part.pixels], part, along)
    return sum((_from_slices(s, axis) for axis, s in slices.items()), start=empty)


@dataclass
class RayGroup:
    """Rays of one view that share a main axis.

    Args:
        axis: main axis (0, 1 or 2), the one along which the ray crosses most voxels.
        pixels: [rays] flat indices into the view's V x U pixels.
        start: [2, rays] position at slice 0 in the slice's two axes, in voxel indices.
        slope: [2, rays] change of that position from slice to slice.
        length_mm: [rays] length of the ray per slice.
    """

    axis: int
    pixels: torch.Tensor
    start: torch.Tensor
    slope: torch.Tensor
    length_mm: torch.Tensor

    def split(self, rays: int) -> Iterator[RayGroup]:
        """Pieces of at most the given number of rays."""
        for i in range(0, len(self.pixels), rays):
            piece = slice(i, i + rays)
            yield replace(
                self,
                pixels=self.pixels[piece],
                start=self.start[:, piece],
                slope=self.slope[:, piece],
                length_mm=self.length_mm[piece],
            )


def _view_groups(rays: ScanRays, view: int, like: torch.Tensor) -> list[RayGroup]:
    """One view's rays, made on the tensor's device and grouped by main axis."""
    rows, columns = rays.geometry.detector_shape
    first, step_v, step_u = (
        torch.as_tensor(vectors[view], dtype=like.dtype, device=like.device)
        for vectors in (rays.first_pixel, rays.step_v, rays.step_u)
    )
    v = torch.arange(rows, dtype=like.dtype, device=like.device)
    u = torch.arange(columns, dtype=like.dtype, device=like.device)
    pixels = first + v[:, None, None] * step_v + u[:, None] * step_u
    return _group(rays.source[view].tolist(), pixels.reshape(-1, 3), rays.geometry.voxel_mm)


def _group(source: Sequence[float], pixels: torch.Tensor, voxel_mm: Sequence[float]) -> list[RayGroup]:
    """Sorts one view's rays, from the source through pixels [rays, 3], by main axis."""
    direction = pixels - pixels.new_tensor(source)
    length_mm = torch.linalg.vector_norm(direction * pixels.new_tensor(voxel_mm), dim=1)
    main_axis = direction.abs().argmax(dim=1)
    groups = []
    for axis, others in enumerate(_SLICE_AXES):
        index = torch.nonzero(main_axis == axis).squeeze(1)
        if len(index) == 0:
            continue
        along = direction[index, axis]
        slope = torch.stack([direction[index, other] / along for other in others])
        start = torch.stack([source[other] - source[axis] * slope[i] for i, other in enumerate(others)])
        groups.append(RayGroup(axis, index, start, slope, length_mm[index] / along.abs()))
    return groups


def _rays_per_chunk(slices: int, batch: int, max_memory_bytes: float) -> int:
    """Number of rays whose samples fit into the given memory."""
    return max(1, int(max_memory_bytes / (slices * (_BYTES_PER_SAMPLE + 4 * batch))))


def _to_slices(volume: torch.Tensor, axis: int) -> torch.Tensor:
    """[B, X, Y, Z] to [slices, B, a, b], the slices along the main axis first."""
    return volume.movedim(axis + 1, 0).contiguous()


def _from_slices(slices: torch.Tensor, axis: int) -> torch.Tensor:
    """The inverse of :func:`_to_slices`."""
    return slices.movedim(0, axis + 1)


def _gather(slices: torch.Tensor, rays: RayGroup) -> torch.Tensor:
    """Integrates along rays.

    Args:
        slices: [slices, B, a, b] from :func:`_to_slices` for the rays' main axis.
        rays: the rays.

    Returns:
        [B, rays] integrals in value times millimetres.
    """
    grid = _sample_positions(slices, rays)
    samples = F.grid_sample(slices, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return samples[:, :, 0].sum(dim=0) * rays.length_mm


def _scatter(values: torch.Tensor, rays: RayGroup, slices: torch.Tensor) -> None:
    """Adds the exact adjoint of :func:`_gather` to slices, in place.

    Args:
        values: [B, rays] values to spread along the rays.
        rays: the rays.
        slices: [slices, B, a, b] to add to.
    """
    spread = (values * rays.length_mm)[None, :, None].expand(len(slices), -1, -1, -1).contiguous()
    # The backward pass of grid_sample alone (bilinear = 0, zeros = 0): interpolation is linear, so its gradient is its
    # transpose, and the forward pass need not be computed for it.
    slices += torch.ops.aten.grid_sampler_2d_backward(
        spread, slices, _sample_positions(slices, rays), 0, 0, False, [True, False]
    )[0]


def _sample_positions(slices: torch.Tensor, rays: RayGroup) -> torch.Tensor:
    """[slices, 1, rays, 2] positions (b, a) of the samples, as grid_sample counts them: -1 and 1 at the edges."""
    count, _, size_a, size_b = slices.shape
    index = torch.arange(count, device=slices.device, dtype=slices.dtype)[:, None]
    a = rays.start[0] + index * rays.slope[0]
    b = rays.start[1] + index * rays.slope[1]
    # Index i of n is at (2 i + 1) / n - 1.
    return torch.stack([(2.0 * b + 1.0) / size_b - 1.0, (2.0 * a + 1.0) / size_a - 1.0], dim=-1)[:, None]

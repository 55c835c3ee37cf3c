"""Reading features at 3D points: from 2D maps through the scan's geometry, and from the 3D embedding."""

from __future__ import annotations

from typing import Optional

import torch
import torch.nn.functional as F

__all__ = [
    "detector_coordinates",
    "grid_points",
    "max_over_views",
    "sample_maps",
    "sample_volume",
    "takes_fused_operations",
]


def grid_points(shape: list[int], start: int, stop: int, corner: bool, like: torch.Tensor) -> torch.Tensor:
    """Points of a regular grid over the unit cube, by flat voxel index.

    Args:
        shape: voxels (x, y, z).
        start: first flat index; z changes fastest.
        stop: end of the indices.
        corner: put voxel i of n at i / n instead of its centre (i + 1/2) / n.
        like: gives type and device.

    Returns:
        [stop - start, 3] points (x, y, z).
    """
    flat = torch.arange(start, stop, device=like.device)
    plane = shape[1] * shape[2]
    index = [flat // plane, (flat % plane) // shape[2], flat % shape[2]]
    coordinates = []
    for axis in range(3):
        coordinates.append((index[axis].to(like.dtype) + (0.0 if corner else 0.5)) / shape[axis])
    return torch.stack(coordinates, dim=-1)


def detector_coordinates(matrices: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Projects unit-cube points to every view's detector.

    Written as sums, not as a matrix product, so that reduced-precision products never touch coordinates.

    Args:
        matrices: [B, views, 3, 4], see ConeBeamGeometry.unit_matrices.
        points: [B, points, 3] in [0, 1].

    Returns:
        [B, views, points, 2] coordinates (v, u), -1 and 1 at the detector's edges.
    """
    m = matrices.unsqueeze(3)  # [B, views, 3, 1, 4]
    p = points.unsqueeze(1).unsqueeze(1)  # [B, 1, 1, points, 3]
    h = m[..., 0] * p[..., 0] + m[..., 1] * p[..., 1] + m[..., 2] * p[..., 2] + m[..., 3]
    return torch.stack([h[:, :, 0] / h[:, :, 2], h[:, :, 1] / h[:, :, 2]], dim=-1)


def sample_maps(features: torch.Tensor, coordinates: torch.Tensor, corner_aligned: bool) -> torch.Tensor:
    """Bilinear interpolation in each view's feature map, zero outside the detector.

    Args:
        features: [B, views, C, rows, columns].
        coordinates: [B, views, points, 2] from :func:`detector_coordinates`.
        corner_aligned: put -1 and 1 on the centres of the outer pixels instead of on their edges.

    Returns:
        [B, views, C, points].
    """
    batch, views, channels = features.shape[0], features.shape[1], features.shape[2]
    grid = coordinates.flip(-1).flatten(0, 1).unsqueeze(1)  # [B views, 1, points, (u, v)]
    samples = F.grid_sample(
        features.flatten(0, 1), grid, mode="bilinear", padding_mode="zeros", align_corners=corner_aligned
    )
    return samples.reshape(batch, views, channels, -1)


def max_over_views(samples: torch.Tensor, view_mask: Optional[torch.Tensor]) -> torch.Tensor:
    """Largest value over the views that the mask keeps.

    Args:
        samples: [B, views, C, points].
        view_mask: [B, views], true for the views to use; None for all.

    Returns:
        [B, C, points].
    """
    if view_mask is not None:
        hidden = view_mask.to(torch.bool).logical_not()
        samples = samples.masked_fill(hidden.unsqueeze(-1).unsqueeze(-1), float("-inf"))
    return samples.amax(dim=1)


def sample_volume(volume: torch.Tensor, points: torch.Tensor, corner_aligned: bool) -> torch.Tensor:
    """Trilinear interpolation in a volume over the unit cube.

    Args:
        volume: [B, C, x, y, z].
        points: [B, points, 3] in [0, 1].
        corner_aligned: put 0 and 1 on the centres of the outer voxels (zero outside) instead of on their edges
            (the outer voxels' values continue outwards).

    Returns:
        [B, C, points].
    """
    if not torch.jit.is_scripting():  # noqa: SIM102 (TorchScript would compile what follows an "and")
        if takes_fused_operations(points):
            return _sum_of_corners(volume, points, corner_aligned)
    grid = (2.0 * points - 1.0).flip(-1).unsqueeze(1).unsqueeze(1)  # [B, 1, 1, points, (z, y, x)]
    padding = "zeros" if corner_aligned else "border"
    samples = F.grid_sample(volume, grid, mode="bilinear", padding_mode=padding, align_corners=corner_aligned)
    return samples.flatten(2)


def takes_fused_operations(coordinates: torch.Tensor) -> bool:
    """Whether sampling may use what other runtimes do not have, and what has no gradient of the coordinates."""
    return not (coordinates.requires_grad or torch.jit.is_tracing() or torch.compiler.is_exporting())


def _sum_of_corners(volume: torch.Tensor, points: torch.Tensor, corner_aligned: bool) -> torch.Tensor:
    """The same as the grid_sample of sample_volume, ten times as fast in its gradient for channels-last volumes."""
    batch, channels = volume.shape[:2]
    size = volume.shape[2:]
    voxel = torch.arange(batch, device=points.device)[:, None, None]  # becomes flat indices [B, points, corners]
    weight = points.new_ones(1)
    for axis in range(3):
        if corner_aligned:
            place = points[..., axis] * (size[axis] - 1)
        else:
            place = (points[..., axis] * size[axis] - 0.5).clamp(0, size[axis] - 1)
        low = place.floor()
        corner = torch.stack([low, low + 1], dim=-1)
        part = 1.0 - (place.unsqueeze(-1) - corner).abs()
        if corner_aligned:
            part = part * ((corner >= 0) & (corner < size[axis]))
        corner = corner.long().clamp(0, size[axis] - 1)
        voxel = (voxel.unsqueeze(-1) * size[axis] + corner.unsqueeze(-2)).flatten(-2)
        weight = (weight.unsqueeze(-1) * part.unsqueeze(-2)).flatten(-2)
    table = volume.movedim(1, -1).reshape(-1, channels).to(weight.dtype)
    sums = F.embedding_bag(voxel.flatten(0, 1), table, mode="sum", per_sample_weights=weight.flatten(0, 1))
    return sums.reshape(batch, -1, channels).transpose(1, 2)

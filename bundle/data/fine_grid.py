"""The grid that a scan is simulated on, finer than what is reconstructed, and the averages of its voxels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from bundle.simulation import LEAST_FINENESS

__all__ = ["FINEST_SIDE", "averaged", "fine_shape"]

FINEST_SIDE = 512
"""Most voxels along an axis, unless the reconstruction asks for more: 512 x 512 x 512 take half a gigabyte."""

_ROUNDING = 1e-3  # of a voxel


def fine_shape(
    shape: Sequence[int], size_mm: Sequence[float], spacing_mm: Sequence[float] | None = None
) -> tuple[int, int, int]:
    """Voxels of the grid that a scan is simulated on.

    At least twice as many as are reconstructed along each axis, and as many as the CT has where these are more, so that
    a scan does not depend on the resolution that it is reconstructed at.

    Args:
        shape: voxels (x, y, z) of the reconstruction.
        size_mm: side lengths of the field.
        spacing_mm: the CT's own; not known if None.
    """
    own = [0, 0, 0] if spacing_mm is None else [math.ceil(s / d - _ROUNDING) for s, d in zip(size_mm, spacing_mm)]
    x, y, z = (max(LEAST_FINENESS * n, min(m, FINEST_SIDE)) for n, m in zip(shape, own))
    return x, y, z


def averaged(volume: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Averages a volume over the voxels of a coarser grid of the same field; a fine voxel counts for the part inside.

    Args:
        volume: [..., X, Y, Z].
        shape: voxels (x, y, z) of the coarser grid.

    Returns:
        [..., x, y, z].
    """
    for axis, coarse in zip((-3, -2, -1), shape):
        fine = volume.shape[axis]
        if fine == coarse:
            continue
        if fine % coarse == 0:
            volume = volume.unflatten(axis, (coarse, fine // coarse)).mean(dim=axis)
        else:
            weights = _overlaps(fine, coarse).to(volume)
            volume = torch.tensordot(volume, weights, dims=([axis], [1])).movedim(-1, axis)
    return volume


def _overlaps(fine: int, coarse: int) -> torch.Tensor:
    """[coarse, fine] the share of each coarse voxel that each fine one fills."""
    fine_edges = torch.arange(fine + 1, dtype=torch.float64) / fine
    coarse_edges = torch.arange(coarse + 1, dtype=torch.float64) / coarse
    last = torch.minimum(coarse_edges[1:, None], fine_edges[None, 1:])
    first = torch.maximum(coarse_edges[:-1, None], fine_edges[None, :-1])
    return ((last - first).clamp(min=0.0) * coarse).float()

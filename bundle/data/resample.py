"""CT volumes on another grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from bundle.optional import require

__all__ = ["AIR_HU", "resample"]

AIR_HU = -1000.0
_EDGE = 1e-4  # of a voxel: rounding
_ALONG = 1e-3  # of a voxel, over the whole of a grid
_SLAB = 32  # planes at a time: what is needed beside the volumes stays small


def resample(
    values: np.ndarray,
    affine: np.ndarray,
    grid: np.ndarray,
    shape: Sequence[int],
    order: int = 1,
    outside: float = AIR_HU,
) -> np.ndarray:
    """Interpolates a volume on a grid that may be turned, shifted and larger; needs scipy, unless linear along axes.

    Args:
        values: [i, j, k] volume.
        affine: [4, 4] map from its voxel index to millimetres.
        grid: [4, 4] map from the new voxel index to the same.
        shape: new voxels (x, y, z).
        order: of the splines: 0 takes the nearest voxel, 1 is linear, 3 is cubic and prefiltered, so that voxels'
            own values are kept.
        outside: value beyond the outer voxels' edges.

    Returns:
        [X, Y, Z] float32, or the type of the values if order is 0.
    """
    to_index = np.linalg.inv(affine) @ grid
    linear, start = to_index[:3, :3], to_index[:3, 3]
    if order == 1 and _runs_along_axes(linear, shape):
        return _along_axes(values, linear, start, shape, outside)
    ndimage = require("scipy.ndimage", "scipy", "resampling")
    # What the splines assume beyond the outer voxels, within half a voxel of which they are still evaluated.
    mode = "mirror" if order > 1 else "nearest"
    if order > 1:
        values = ndimage.spline_filter(values, order, output=np.float32, mode=mode)
    result = np.empty(tuple(shape), dtype=values.dtype if order == 0 else np.float32)
    for first in range(0, shape[2], _SLAB):
        planes = min(_SLAB, shape[2] - first)
        slab = (shape[0], shape[1], planes)
        corner = start + linear[:, 2] * first
        part = ndimage.affine_transform(
            values, linear, corner, slab, order=order, mode=mode, prefilter=False, output=result.dtype
        )
        part[~_inside(linear, corner, slab, values.shape)] = outside
        result[:, :, first : first + planes] = part
    return result


def _runs_along_axes(linear: np.ndarray, shape: Sequence[int]) -> bool:
    """Whether each axis of a grid runs along one of a volume's, to a part of a voxel that no longer counts."""
    others = np.abs(linear).copy()
    others[np.abs(linear).argmax(axis=0), range(3)] = 0.0
    return len(set(np.abs(linear).argmax(axis=0))) == 3 and bool((others @ np.asarray(shape) < _ALONG).all())


def _along_axes(
    values: np.ndarray, linear: np.ndarray, start: np.ndarray, shape: Sequence[int], outside: float
) -> np.ndarray:
    """Linear interpolation one axis after the other, much faster than in three dimensions at once."""
    sources = np.abs(linear).argmax(axis=0)  # of each axis of the grid, the volume's that it runs along
    volume = torch.from_numpy(np.ascontiguousarray(values)).permute(*sources.tolist()).float() - outside
    axes = range(3)
    for axis in sorted(axes, key=lambda axis: shape[axis] / volume.shape[axis]):  # what shrinks comes first
        source, n = sources[axis], volume.shape[axis]
        position = torch.from_numpy(start[source] + linear[source, axis] * np.arange(shape[axis]))
        inside = (position >= -0.5 - _EDGE) & (position <= n - 0.5 + _EDGE)
        position = position.clamp(0.0, n - 1.0)
        below = position.floor().long().clamp(max=max(0, n - 2))
        share = (position - below).float()
        sizes = [-1 if other == axis else 1 for other in axes]
        weights = ((1.0 - share) * inside).view(sizes), (share * inside).view(sizes)
        above = (below + 1).clamp(max=n - 1)
        result = volume.index_select(axis, below).mul_(weights[0])
        volume = result.addcmul_(volume.index_select(axis, above), weights[1])
    return (volume + outside).numpy()


def _inside(linear: np.ndarray, start: np.ndarray, slab: Sequence[int], shape: Sequence[int]) -> np.ndarray:
    """[X, Y, Z] true where a grid's voxel lies within the edges of a volume of the given shape."""
    x, y, z = np.ogrid[: slab[0], : slab[1], : slab[2]]
    inside = np.ones(tuple(slab), dtype=bool)
    for row, offset, n in zip(linear, start, shape):
        position = (row[0] * x + row[1] * y).astype(np.float32) + (row[2] * z + offset).astype(np.float32)
        inside &= (position >= -0.5 - _EDGE) & (position <= n - 0.5 + _EDGE)
    return inside

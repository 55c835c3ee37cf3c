"""The grids of volumes: comparing them, and bringing one volume to another's."""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel as nib
import numpy as np

from bundle.data.ct_volume import read_ct
from bundle.errors import InputError
from bundle.optional import require

__all__ = ["Volume", "check_same_grid", "on_grid", "overlap", "read_volume", "same_grid"]

_TOLERANCE_VOXELS = 0.05
_ROUNDING_VOXELS = 1e-3
_AIR_HU = -1000.0

Volume = tuple[np.ndarray, np.ndarray]
"""Values [X, Y, Z], and the affine [4, 4] from voxel index to RAS mm."""


def read_volume(path: Path, check_hu: bool = True) -> Volume:
    """Reads a volume in HU.

    Raises:
        InputError: when it cannot be read, or is not HU.
    """
    image = read_ct(path, check_hu)
    return image[0].numpy(), np.asarray(image.affine, dtype=np.float64)


def same_grid(one: Volume, other: Volume) -> bool:
    """Whether two volumes have the same voxels, up to a twentieth of one."""
    if one[0].shape != other[0].shape:
        return False
    corners = np.array(list(itertools.product(*((0, n - 1) for n in one[0].shape))), dtype=np.float64)
    there = nib.affines.apply_affine(one[1], corners)
    back = nib.affines.apply_affine(np.linalg.inv(other[1]), there)
    return bool(np.abs(back - corners).max() <= _TOLERANCE_VOXELS)


def overlap(volume: Volume, grid: Volume) -> bool:
    """Whether a voxel of the grid lies within the volume."""
    return not _is_outside(grid[0].shape, np.linalg.inv(volume[1]) @ grid[1], volume[0].shape).all()


def on_grid(volume: Volume, grid: Volume, order: int = 1, outside: float = _AIR_HU) -> np.ndarray:
    """Resamples a volume to another's grid.

    A volume reaches to the outer faces of its voxels: between these and their centres it has the outer voxels' values.

    Args:
        volume: what to resample.
        grid: gives the grid.
        order: 1 for values, linearly; 0 for labels, by the nearest.
        outside: value where the volume does not reach.

    Returns:
        [X, Y, Z] in the grid's order, of the volume's type.
    """
    processing = require("nibabel.processing", "scipy", "resampling")
    image = nib.Nifti1Image(volume[0].astype(np.float32), volume[1])
    resampled = processing.resample_from_to(image, (grid[0].shape, grid[1]), order=order, mode="nearest")
    values = np.asarray(resampled.dataobj).astype(volume[0].dtype)
    values[_is_outside(grid[0].shape, np.linalg.inv(volume[1]) @ grid[1], volume[0].shape)] = outside
    return values


def _is_outside(shape: tuple[int, ...], to_index: np.ndarray, reach: tuple[int, ...]) -> np.ndarray:
    """[X, Y, Z] whether voxels of a grid lie beyond the outer faces of a volume's voxels.

    Args:
        shape: of the grid.
        to_index: [4, 4] map from the grid's indices to the volume's.
        reach: shape of the volume.
    """
    outside = np.zeros(shape, dtype=bool)
    x, y, z = np.ogrid[tuple(slice(n) for n in shape)]
    for along_x, along_y, along_z, offset, n in zip(*to_index[:3].T, reach):
        index = along_x * x + (along_y * y + along_z * z + offset)
        outside |= (index < -0.5 - _ROUNDING_VOXELS) | (index > n - 0.5 + _ROUNDING_VOXELS)
    return outside


def check_same_grid(volume: Volume, grid: Volume, source: object, other: object) -> None:
    """Refuses a volume on another grid.

    Raises:
        InputError: naming both files.
    """
    if same_grid(volume, grid):
        return
    shapes = " and ".join("x".join(str(n) for n in values.shape) for values, _ in (volume, grid))
    where = "of the same voxels elsewhere" if volume[0].shape == grid[0].shape else f"({shapes} voxels)"
    raise InputError(
        source, f"is on another grid than {other} {where}.", "Set resample to true, or write both on one grid."
    )

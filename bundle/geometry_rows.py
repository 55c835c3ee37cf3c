"""Geometries as tensors, one row for each view, so that they travel through data loaders and are chosen like views."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from bundle.geometry import ConeBeamGeometry

__all__ = ["COLUMNS", "ROW_LENGTH", "pack_geometry", "unpack_distinct", "unpack_geometry"]

_VECTORS = ("source_mm", "detector_centre_mm", "u_axis", "v_axis")
_SIZES = (("detector_shape", 2), ("pixel_mm", 2), ("volume_shape", 3), ("voxel_mm", 3), ("volume_centre_mm", 3))
ROW_LENGTH = 3 * len(_VECTORS) + 1 + sum(count for _, count in _SIZES)
"""Numbers in a row: the view's four vectors and angle, and the sizes, which are the same in every row."""


COLUMNS = (
    *(f"{name}.{axis}" for name in _VECTORS for axis in "xyz"),
    "angles_rad",
    *(f"{name}.{number}" for name, count in _SIZES for number in range(count)),
)
"""What each number is."""


def pack_geometry(geometry: ConeBeamGeometry) -> torch.Tensor:
    """[views, 26] float64."""
    sizes = np.concatenate([np.asarray(getattr(geometry, name), dtype=np.float64) for name, _ in _SIZES])
    vectors = [getattr(geometry, name) for name in _VECTORS]
    rows = [*vectors, geometry.angles_rad[:, None], np.tile(sizes, (geometry.num_views, 1))]
    return torch.from_numpy(np.concatenate(rows, axis=1))


def unpack_geometry(rows: torch.Tensor) -> ConeBeamGeometry:
    """The geometry of [views, 26] rows; exactly the one that was packed, with the views that the rows have.

    Raises:
        InputError: when the rows make no geometry.
    """
    table = rows.detach().cpu().double().numpy()
    parts: dict[str, Any] = {name: table[:, 3 * i : 3 * i + 3] for i, name in enumerate(_VECTORS)}
    start = 3 * len(_VECTORS)
    parts["angles_rad"] = table[:, start]
    start += 1
    for name, count in _SIZES:
        parts[name] = tuple(table[0, start : start + count].tolist())
        start += count
    return ConeBeamGeometry(**parts)


def unpack_distinct(rows: torch.Tensor) -> tuple[ConeBeamGeometry, torch.Tensor]:
    """The geometry of the views that differ, and which of them each row [views] is.

    Views that fill up a batch repeat others: simulated once, they share their noise and change nothing.
    """
    distinct, places = torch.unique(rows, dim=0, return_inverse=True)
    return unpack_geometry(distinct), places

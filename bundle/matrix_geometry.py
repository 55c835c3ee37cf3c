"""A scan's geometry from the matrices that the network takes, which hold all of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bundle.errors import InputError
from bundle.fixed_tuples import triple
from bundle.geometry import ConeBeamGeometry

__all__ = ["geometry_of_matrices"]


def geometry_of_matrices(
    matrices: np.ndarray,
    volume_size_mm: Sequence[float],
    volume_shape: Sequence[int],
    detector_shape: Sequence[int],
) -> ConeBeamGeometry:
    """The inverse of ConeBeamGeometry.unit_matrices, up to what rays do not depend on.

    A matrix [A | b] maps a point p of the unit cube to (v w, u w, w). The source is where all three are zero, and the
    ray of a detector coordinate (v, u) runs along A^-1 (v, u, 1). Where along the rays the detector stands cannot be
    told: here its rows are 1 mm apart. The volume's centre is at the origin.

    Args:
        matrices: [views, 3, 4], see ConeBeamGeometry.unit_matrices.
        volume_size_mm: side lengths (x, y, z) of the unit cube.
        volume_shape: voxels (x, y, z).
        detector_shape: (rows, columns).

    Returns:
        The geometry, without nominal angles.

    Raises:
        InputError: when the views' pixels differ in their ratio of height to width.
    """
    linear, constant = matrices[:, :, :3].astype(np.float64), matrices[:, :, 3].astype(np.float64)
    size_mm = np.asarray(volume_size_mm, dtype=np.float64)
    inverse = np.linalg.inv(linear)  # columns: directions of v, u and the detector's centre
    source = -np.einsum("mij,mj->mi", inverse, constant)
    directions = inverse * size_mm[:, None]
    rows, columns = detector_shape
    length = np.linalg.norm(directions, axis=1)  # [views, 3]
    scale = rows / 2 / length[:, 0]
    pixel_u_mm = length[:, 1] * scale * 2 / columns
    if not np.allclose(pixel_u_mm, pixel_u_mm[0], rtol=1e-3):
        raise InputError("matrices", "are of detectors with pixels of different shapes.", "Give one detector's views.")
    source_mm = (source - 0.5) * size_mm
    return ConeBeamGeometry(
        source_mm=source_mm,
        detector_centre_mm=source_mm + scale[:, None] * directions[:, :, 2],
        u_axis=directions[:, :, 1] / length[:, 1:2],
        v_axis=_perpendicular(directions[:, :, 0] / length[:, :1], directions[:, :, 1] / length[:, 1:2]),
        detector_shape=(rows, columns),
        pixel_mm=(1.0, float(pixel_u_mm.mean())),
        volume_shape=triple(volume_shape),
        voxel_mm=triple(size_mm / volume_shape),
    )


def _perpendicular(vectors: np.ndarray, others: np.ndarray) -> np.ndarray:
    """[views, 3] unit vectors, freed from what rounding of the matrices left along the others."""
    vectors = vectors - np.sum(vectors * others, axis=1, keepdims=True) * others
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

"""Ellipsoid phantoms: voxelised, and with their exact line integrals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bundle.geometry import ConeBeamGeometry

__all__ = ["Ellipsoid", "asymmetric_phantom", "line_integrals", "voxelise"]


@dataclass(frozen=True)
class Ellipsoid:
    """A homogeneous ellipsoid with axes along x, y and z.

    Args:
        centre_mm: centre (x, y, z).
        radii_mm: semi-axes (x, y, z).
        value: what it adds inside.
    """

    centre_mm: Sequence[float]
    radii_mm: Sequence[float] | np.ndarray
    value: float


def asymmetric_phantom(size_mm: Sequence[float]) -> list[Ellipsoid]:
    """A body with one marker on each positive axis, each of another size and value.

    No flip or permutation of the axes maps it to itself, so it shows every orientation error.

    Args:
        size_mm: field of view (x, y, z) to fill.
    """
    half = np.array(size_mm) / 2
    return [
        Ellipsoid((0, 0, 0), 0.62 * half, 0.4),
        Ellipsoid((0.34 * half[0], 0, 0), 0.24 * half, 0.5),
        Ellipsoid((0, 0.36 * half[1], 0), 0.2 * half, -0.35),
        Ellipsoid((0, 0, 0.40 * half[2]), 0.17 * half, 0.3),
        Ellipsoid((-0.2 * half[0], -0.25 * half[1], -0.3 * half[2]), 0.13 * half, 0.55),
    ]


def voxelise(ellipsoids: Sequence[Ellipsoid], geometry: ConeBeamGeometry, oversampling: int = 3) -> np.ndarray:
    """Samples a phantom on the geometry's volume grid.

    Args:
        ellipsoids: the phantom; overlapping values add up.
        geometry: gives the grid.
        oversampling: sub-samples per voxel and axis whose mean is taken.

    Returns:
        [x, y, z] float32 volume.
    """
    fine = geometry.with_volume([n * oversampling for n in geometry.volume_shape])
    origin, step = fine.volume_affine[:3, 3], fine.voxel_mm
    axes = [origin[a] + np.arange(fine.volume_shape[a]) * step[a] for a in range(3)]
    volume = np.zeros(geometry.volume_shape, dtype=np.float32)
    x_count, y_count, z_count = geometry.volume_shape
    for i in range(x_count):  # one slab at a time, since the fine grid would be large
        slab_x = axes[0][i * oversampling : (i + 1) * oversampling]
        slab = np.zeros((oversampling, *fine.volume_shape[1:]), dtype=np.float32)
        for ellipsoid in ellipsoids:
            squares = [
                ((axis - c) / r) ** 2
                for axis, c, r in zip((slab_x, axes[1], axes[2]), ellipsoid.centre_mm, ellipsoid.radii_mm)
            ]
            inside = squares[0][:, None, None] + squares[1][None, :, None] + squares[2][None, None, :] <= 1.0
            slab += ellipsoid.value * inside
        blocks = slab.reshape(oversampling, y_count, oversampling, z_count, oversampling)
        volume[i] = blocks.mean(axis=(0, 2, 4))
    return volume


def line_integrals(ellipsoids: Sequence[Ellipsoid], geometry: ConeBeamGeometry) -> np.ndarray:
    """Exact integrals along the rays from each source to each pixel centre.

    The chord of the ray s + t d through an ellipsoid is (t2 - t1) |d|, t1 and t2 the roots of
    |(s + t d - c) / r|^2 = 1.

    Args:
        ellipsoids: the phantom; overlapping values add up.
        geometry: the scan.

    Returns:
        [view, v, u] integrals in value times millimetres.
    """
    source = geometry.source_mm[:, None, None]
    direction = geometry.pixel_centres_mm() - source
    length = np.linalg.norm(direction, axis=-1)
    total = np.zeros(length.shape)
    for ellipsoid in ellipsoids:
        radii = np.array(ellipsoid.radii_mm)
        start = (source - np.array(ellipsoid.centre_mm)) / radii
        step = direction / radii
        a = np.sum(step * step, axis=-1)
        b = np.sum(start * step, axis=-1)
        c = np.sum(start * start, axis=-1) - 1.0
        root = np.sqrt(np.maximum(b * b - a * c, 0.0))
        total += ellipsoid.value * 2.0 * root / a * length
    return total

"""Averaging detector pixels to about the shadow of a voxel, beyond which more of them add cost and no detail."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from bundle.geometry import ConeBeamGeometry

__all__ = ["binned", "pixel_area_mm2", "pixels_per_shadow"]

_ROUNDING = 1e-3


def pixel_area_mm2(geometry: ConeBeamGeometry) -> np.ndarray:
    """[views] area of a pixel, as seen from the source at the volume's centre."""
    return np.prod(geometry.pixel_mm) / _magnification(geometry) ** 2


def pixels_per_shadow(geometry: ConeBeamGeometry) -> tuple[int, int]:
    """Whole pixels (v, u) that fit into a voxel's shadow at the volume's centre and divide the detector evenly.

    Columns are compared with the smaller of a voxel's sides across the axis, rows with its length along it.
    """
    magnification = float(_magnification(geometry).min())
    sides_mm = geometry.voxel_mm[2], min(geometry.voxel_mm[:2])
    v, u = (
        _largest_divisor(n, side * magnification / pixel + _ROUNDING)
        for n, side, pixel in zip(geometry.detector_shape, sides_mm, geometry.pixel_mm)
    )
    return v, u


def binned(projections: torch.Tensor, geometry: ConeBeamGeometry) -> tuple[torch.Tensor, ConeBeamGeometry]:
    """Projections [B, views, V, U] averaged over as many pixels as fit into a voxel's shadow, and their scan."""
    factors = pixels_per_shadow(geometry)
    if factors == (1, 1):
        return projections, geometry
    rows, columns = (n // f for n, f in zip(geometry.detector_shape, factors))
    return F.avg_pool2d(projections, factors), geometry.with_pixels((rows, columns))


def _magnification(geometry: ConeBeamGeometry) -> np.ndarray:
    """[views] how much larger than at the volume's centre things appear on the detector."""
    normal = geometry.normal
    to_detector = np.sum((geometry.detector_centre_mm - geometry.source_mm) * normal, axis=1)
    to_centre = np.sum((np.array(geometry.volume_centre_mm) - geometry.source_mm) * normal, axis=1)
    return np.abs(to_detector / to_centre)


def _largest_divisor(n: int, most: float) -> int:
    """The largest divisor of n that is at most a number, and at least 1."""
    return max([f for f in range(1, int(most) + 1) if n % f == 0], default=1)

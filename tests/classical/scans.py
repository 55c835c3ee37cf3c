"""Scans of the asymmetric phantom, with exact line integrals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from bundle.geometry import ConeBeamGeometry, circular
from bundle.phantoms import asymmetric_phantom, line_integrals, voxelise

SIZES = {"volume_shape": (56, 50, 44), "voxel_mm": (6.0, 6.5, 7.0)}


def orbit(angles_rad, shift_mm: float = 0.0, columns: int = 96, **options) -> ConeBeamGeometry:
    """A circular scan, its detector shifted along u."""
    return circular(
        angles_rad, 800, 1200, (76, columns), (8.5, 8.0), **SIZES, detector_offset_mm=(4.0, shift_mm), **options
    )


TURN = np.linspace(0, 2 * np.pi, 180, endpoint=False)
SHORT = np.linspace(0.4, 0.4 + np.pi + 0.75, 118)

SCANS: dict[str, Callable[[], ConeBeamGeometry]] = {
    "full turn": lambda: orbit(TURN),
    "short scan": lambda: orbit(SHORT),
    "short scan, clockwise": lambda: orbit(-SHORT),
    "short scan, rows downwards": lambda: orbit(SHORT, row_direction="-z"),
    "half fan": lambda: orbit(TURN, 150.0, 62),
    "half fan, other side": lambda: orbit(TURN, -150.0, 62),
}


def exact(geometry: ConeBeamGeometry) -> tuple[torch.Tensor, torch.Tensor]:
    """The phantom [1, 1, X, Y, Z] and its exact projections [1, views, V, U]."""
    ellipsoids = asymmetric_phantom(geometry.volume_size_mm)
    volume = torch.from_numpy(voxelise(ellipsoids, geometry))[None, None]
    return volume, torch.from_numpy(line_integrals(ellipsoids, geometry)).float()[None]


def error(found: torch.Tensor, truth: torch.Tensor) -> float:
    """Root mean square difference; the phantom's body is 0.4."""
    return float((found - truth).square().mean().sqrt())

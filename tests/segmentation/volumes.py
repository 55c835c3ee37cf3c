"""Small CT volumes in which every size, spacing and direction differs from every other."""

from __future__ import annotations

import numpy as np

FRAMES = ("LPS", "RAS", "SAL")


def lps_affine(spacing_mm, origin_mm=(70.0, 65.0, -230.0)) -> np.ndarray:
    affine = np.diag([-spacing_mm[0], -spacing_mm[1], spacing_mm[2], 1.0])
    affine[:3, 3] = origin_mm
    return affine


def boxes(shape, *parts: tuple[tuple[slice, slice, slice], float], background: float = -1000.0) -> np.ndarray:
    """[x, y, z] HU made of boxes, later ones over earlier ones."""
    hu = np.full(shape, background, dtype=np.float32)
    for where, value in parts:
        hu[where] = value
    return hu

"""Weights that make every ray count once, however often its line was measured.

The ray at gantry angle b with fan angle f runs along the same line as the one at b + pi + 2 f with fan angle -f. The
weights of the two add up to one.
"""

from __future__ import annotations

import numpy as np

from bundle.classical.orbit import Orbit
from bundle.errors import InputError

__all__ = ["redundancy_weights"]

_CENTRED = 0.98  # a detector whose narrower side is at least this part of the wider one counts as centred
_HALF_FAN = 0.5  # below this part, a short scan leaves lines unmeasured throughout the volume


def redundancy_weights(orbit: Orbit) -> np.ndarray:
    """[views, U] weights: one half for full turns, displaced-detector or Parker weights where they are due.

    Raises:
        InputError: for a half-fan detector on a short scan.
    """
    narrow, wide = _sides(orbit.fan_rad)
    if orbit.is_full_turn:
        if narrow >= _CENTRED * wide:
            return np.full(orbit.fan_rad.shape, 0.5)
        return _displaced(orbit.fan_rad, narrow)
    if narrow < _HALF_FAN * wide:
        raise InputError(
            "geometry",
            f"has a half-fan detector on an arc of {np.rad2deg(orbit.arc_rad):.0f} degrees.",
            "Filtered back-projection needs a full turn for it; use an iterative method.",
        )
    return _parker(orbit)


def _sides(fan_rad: np.ndarray) -> tuple[float, float]:
    """Fan angles of the detector's narrower and wider side, the smallest over all views."""
    low, high = -fan_rad.min(axis=1), fan_rad.max(axis=1)
    sides = sorted((float(low.min()), float(high.min())))
    if sides[0] <= 0:
        raise InputError(
            "geometry", "has a detector that the ray through the axis of rotation misses.", "Check its offset."
        )
    return sides[0], sides[1]


def _displaced(fan_rad: np.ndarray, overlap_rad: float) -> np.ndarray:
    """Smooth step across the part of the detector whose lines are measured twice.

    G. Wang, "X-ray micro-CT with a displaced detector array", Medical Physics 29(7), 2002.
    """
    wide_side = 1.0 if fan_rad.max() > -fan_rad.min() else -1.0
    position = np.clip(wide_side * fan_rad / overlap_rad, -1.0, 1.0)
    return 0.5 * (1.0 + np.sin(np.pi / 2 * position))


def _parker(orbit: Orbit) -> np.ndarray:
    """Smooth weights for arcs of half a turn and more; ones for shorter arcs, where no line is measured twice.

    D. L. Parker, "Optimal short scan convolution reconstruction for fanbeam CT", Medical Physics 9(2), 1982, with the
    overscan angle in place of the largest fan angle.
    """
    over = (orbit.arc_rad - np.pi) / 2
    if over < 0:
        return np.ones(orbit.fan_rad.shape)
    angle, fan = orbit.angle_rad[:, None], orbit.fan_rad
    with np.errstate(divide="ignore", invalid="ignore"):
        rising = np.sin(np.pi / 4 * angle / (over - fan)) ** 2
        falling = np.sin(np.pi / 4 * (np.pi + 2 * over - angle) / (over + fan)) ** 2
    weights = np.ones(orbit.fan_rad.shape)
    weights = np.where(angle > np.pi - 2 * fan, falling, weights)
    weights = np.where(angle < 2 * (over - fan), rising, weights)
    return np.nan_to_num(weights)

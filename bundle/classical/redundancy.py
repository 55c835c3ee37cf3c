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
_LEAST_TAPER_RAD = np.deg2rad(20.0)
_OPPOSITE = 0.9  # below this part, views of which each has its wide side elsewhere are no jitter
_HALF_FAN = 0.5  # below this part, a short scan leaves lines unmeasured throughout the volume


def redundancy_weights(orbit: Orbit) -> np.ndarray:
    """[views, U] weights: one half for full turns, displaced-detector or short-scan weights where they are due.

    Raises:
        InputError: for a half-fan detector on a short scan, or one that changes sides.
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
    return _short_scan(orbit)


def _sides(fan_rad: np.ndarray) -> tuple[float, float]:
    """Fan angles of the detector's narrower and wider side, the smallest over all views."""
    low, high = -fan_rad.min(axis=1), fan_rad.max(axis=1)
    if (low < _OPPOSITE * high).any() and (high < _OPPOSITE * low).any():
        raise InputError(
            "geometry",
            "has a detector that is shifted to one side in some views and to the other in others.",
            "Filtered back-projection needs it on one side; use an iterative method.",
        )
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


def _short_scan(orbit: Orbit) -> np.ndarray:
    """Each measurement of a line by its taper's share: smooth at the ends of the arc, and one where there is no other.

    F. Noo et al., "Image reconstruction from fan-beam projections on less than a short scan", Physics in Medicine and
    Biology 47(14), 2002, section 2.4. For arcs of half a turn and the fan it does what Parker's weights do (D. L.
    Parker, Medical Physics 9(2), 1982); shorter ones leave some lines unmeasured, and the rest sound.
    """
    angle, fan = orbit.angle_rad[:, None], orbit.fan_rad
    other = np.mod(angle + np.pi + 2 * fan, 2 * np.pi)
    width = min(max(orbit.arc_rad - np.pi, _LEAST_TAPER_RAD), orbit.arc_rad / 2)
    own, others = (_taper(a, orbit.arc_rad, width) for a in (np.broadcast_to(angle, fan.shape), other))
    return own / (own + others)


def _taper(angle: np.ndarray, arc_rad: float, width_rad: float) -> np.ndarray:
    """One within the arc, falling to zero over a width at both of its ends; zero outside."""
    inside = np.minimum(angle, arc_rad - angle).clip(0.0, width_rad)
    return np.sin(np.pi / 2 * inside / width_rad) ** 2

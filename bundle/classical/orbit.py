"""What filtered back-projection must know of an orbit: its arc, each view's share of it, and each ray's fan angle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bundle.errors import InputError
from bundle.geometry import ConeBeamGeometry

__all__ = ["Orbit"]

_FULL_TURN_GAP_RAD = np.deg2rad(20.0)  # larger gaps end a short scan, as in RTK, unless views are that sparse
_LEVEL_MM = 1e-3


@dataclass(frozen=True, eq=False)
class Orbit:
    """The angles of a scan about z, in any order, repeated or not.

    Args:
        angle_rad: [views] gantry angles from where the sources stand, counted from the beginning of the arc.
        gap_rad: [views] the part of the arc that each view stands for; repeated views share theirs.
        arc_rad: extent of the arc; 2 pi for a full turn.
        fan_rad: [views, U] angle of each detector column's ray, in the plane of rotation, from the ray through the
            axis; it grows with the ray's direction angle.
    """

    angle_rad: np.ndarray
    gap_rad: np.ndarray
    arc_rad: float
    fan_rad: np.ndarray

    @property
    def is_full_turn(self) -> bool:
        """Whether every ray is measured from both sides."""
        return self.arc_rad == 2 * np.pi

    @classmethod
    def of(cls, geometry: ConeBeamGeometry) -> Orbit:
        """Reads the orbit off the source positions.

        Raises:
            InputError: when there are fewer than two angles or a source stands on the axis.
        """
        source = geometry.source_mm[:, :2]
        if (np.linalg.norm(source, axis=1) < _LEVEL_MM).any():
            raise InputError("geometry.source_mm", "has a source on the axis of rotation.", "Use an iterative method.")
        angle = np.mod(np.arctan2(source[:, 1], source[:, 0]), 2 * np.pi)
        unique, views = np.unique(np.round(angle, 6), return_inverse=True)
        if len(unique) < 2:
            raise InputError("geometry", "has all views at one angle.", "Give views from several angles.")
        gaps = np.diff(unique, append=unique[0] + 2 * np.pi)  # from each angle to the next
        widest = int(gaps.argmax())
        typical = float(np.median(np.delete(gaps, widest)))
        full = gaps[widest] <= max(_FULL_TURN_GAP_RAD, 1.5 * typical)
        if full:
            begin, arc = 0.0, 2 * np.pi
        else:
            # The first and the last view stand for half a typical gap outside them.
            begin = unique[(widest + 1) % len(unique)] - typical / 2
            arc = float(2 * np.pi - gaps[widest] + typical)
            gaps[widest] = typical
        share = (gaps + np.roll(gaps, 1)) / 2
        share = (share / np.bincount(views))[views]
        return cls(np.mod(angle - begin, 2 * np.pi), share, arc, _fan_angles(geometry))


def _fan_angles(geometry: ConeBeamGeometry) -> np.ndarray:
    columns = (np.arange(geometry.detector_shape[1]) - (geometry.detector_shape[1] - 1) / 2) * geometry.pixel_mm[1]
    pixels = geometry.detector_centre_mm[:, None] + columns[:, None] * geometry.u_axis[:, None]
    direction = (pixels - geometry.source_mm[:, None])[..., :2]
    central = -geometry.source_mm[:, None, :2]
    cross = central[..., 0] * direction[..., 1] - central[..., 1] * direction[..., 0]
    return np.arctan2(cross, np.sum(central * direction, axis=-1))

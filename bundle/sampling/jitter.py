"""Random departures from a preset's scan, as augmentation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from monai.utils import ensure_tuple

from bundle.errors import InputError
from bundle.geometry import ConeBeamGeometry
from bundle.presets import ScanPreset

__all__ = ["ScanJitter"]


@dataclass(frozen=True)
class ScanJitter:
    """Draws a scan near a preset's, so that a network meets scanners that are not built, or calibrated, alike.

    All offsets are uniform between minus and plus the given value. The drawn geometry is what is simulated and what
    the network is told: it is another scan, not an error of calibration.

    Args:
        angle_deg: offset of every view's angle.
        sod_mm: offset of the source-to-object distance, one for the scan.
        sdd_mm: offset of the source-to-detector distance, one for the scan.
        detector_shift_mm: shift of the detector (v, u) in its plane, one for the scan.

    Raises:
        InputError: when a value is negative.
    """

    angle_deg: float = 0.0
    sod_mm: float = 0.0
    sdd_mm: float = 0.0
    detector_shift_mm: Sequence[float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        values = [self.angle_deg, self.sod_mm, self.sdd_mm, *ensure_tuple(self.detector_shift_mm)]
        if len(values) != 5 or not all(0 <= value < math.inf for value in values):
            raise InputError("jitter", f"is {self}.", "Give largest offsets, none below zero, and two of the shift.")

    def draw(self, scan: ScanPreset, angles_rad: np.ndarray, rng: np.random.RandomState) -> ConeBeamGeometry:
        """The scan at angles near the given ones, with distances and a detector position of its own."""
        angles = angles_rad + np.deg2rad(rng.uniform(-self.angle_deg, self.angle_deg, len(angles_rad)))
        sod_mm = scan.sod_mm + rng.uniform(-self.sod_mm, self.sod_mm)
        sdd_mm = scan.sdd_mm + rng.uniform(-self.sdd_mm, self.sdd_mm)
        shift_mm = tuple(rng.uniform(-most, most) for most in self.detector_shift_mm)
        return replace(scan, sod_mm=sod_mm, sdd_mm=sdd_mm).geometry(angles, shift_mm)

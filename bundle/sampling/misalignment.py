"""Scans that are not quite what reconstruction is told they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from monai.utils import ensure_tuple

from bundle.errors import InputError
from bundle.geometry import ConeBeamGeometry

__all__ = ["Misalignment"]


@dataclass(frozen=True)
class Misalignment:
    """An error of calibration: the scan that is measured differs from the one that every method is told.

    ScanJitter, in contrast, draws another scan and tells it.

    Args:
        angle_deg: standard deviation of the error of each view's gantry angle, normally distributed.
        detector_shift_mm: shift (v, u) of the detector in its plane, exactly this much in all views; v and u grow with
            the row and the column index, so that what is seen moves to smaller indices.

    Raises:
        InputError: when the deviation is negative, or the shift is not two numbers.
    """

    angle_deg: float = 0.0
    detector_shift_mm: Sequence[float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        shift = ensure_tuple(self.detector_shift_mm)
        if len(shift) != 2 or not all(map(math.isfinite, shift)) or not 0 <= self.angle_deg < math.inf:
            raise InputError(
                "misalignment",
                f"is {self}.",
                "Give an angle_deg of at least zero, and two numbers (v, u) of the shift.",
            )

    def disturb(self, geometry: ConeBeamGeometry, generator: torch.Generator | None = None) -> ConeBeamGeometry:
        """The scan that is measured.

        Args:
            geometry: the scan that is told.
            generator: source of the angles' errors; PyTorch's global one if None.

        Returns:
            Sources and detectors turned about the z axis, and detectors shifted; the volume stays.
        """
        device = None if generator is None else generator.device
        drawn = torch.randn(geometry.num_views, generator=generator, device=device, dtype=torch.float64)
        errors_rad = np.deg2rad(self.angle_deg) * drawn.cpu().numpy()
        shift_v, shift_u = self.detector_shift_mm
        shifted = geometry.detector_centre_mm + shift_v * geometry.v_axis + shift_u * geometry.u_axis
        turn = _about_z(errors_rad)
        return replace(
            geometry,
            source_mm=_turned(turn, geometry.source_mm),
            detector_centre_mm=_turned(turn, shifted),
            u_axis=_turned(turn, geometry.u_axis),
            v_axis=_turned(turn, geometry.v_axis),
            angles_rad=geometry.angles_rad + errors_rad,
        )


def _about_z(angles_rad: np.ndarray) -> np.ndarray:
    """[views, 3, 3] rotations, from x towards y."""
    cosine, sine = np.cos(angles_rad), np.sin(angles_rad)
    turn = np.zeros((len(angles_rad), 3, 3))
    turn[:, 0, 0] = turn[:, 1, 1] = cosine
    turn[:, 0, 1], turn[:, 1, 0] = -sine, sine
    turn[:, 2, 2] = 1.0
    return turn


def _turned(turn: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return np.einsum("mij,mj->mi", turn, vectors)

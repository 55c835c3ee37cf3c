"""Conversions between Hounsfield units, line integrals of attenuation and the projections that the network sees.

Three quantities describe the same ray:

- the *unit integral*, integral of x dl in mm with x = (HU - lo) / (hi - lo) in [0, 1];
- the *normalised projection*, the unit integral in metres divided by 0.2, which is what the network takes;
- the *attenuation* p = -ln(I / I0), integral of mu dl with mu = mu_water (1 + HU / 1000), which is what a scanner
  measures. It has no unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch

from bundle.errors import InputError

__all__ = [
    "MU_WATER_PER_MM",
    "MU_WATER_RANGE_PER_MM",
    "NORMALISATION_M",
    "attenuation_per_unit_mm",
    "attenuation_to_normalised",
    "check_log_transformed",
    "hu_to_unit",
    "normalised_to_attenuation",
    "normalised_to_unit_integral",
    "rewindow_normalised",
    "unit_integral_to_normalised",
    "unit_to_hu",
]

MU_WATER_PER_MM = 0.0206
"""Attenuation of water at 60 keV, the effective energy of a typical 120 kVp beam (NIST XCOM: 0.2059 per cm)."""

MU_WATER_RANGE_PER_MM = (0.003, 0.1)
"""From megavolt beams to 20 keV; outside it the unit is another."""

NORMALISATION_M = 0.2
"""Metres of full-scale material that make a normalised projection of one (the published models' constant)."""

Values = TypeVar("Values", np.ndarray, torch.Tensor)
Numbers = TypeVar("Numbers", np.ndarray, torch.Tensor, float)


def hu_to_unit(hu: Values, hu_window: Sequence[float]) -> Values:
    """Maps HU to [0, 1], clipped to the window (lo, hi).

    Args:
        hu: values in HU, any shape.
        hu_window: HU at 0 and 1.
    """
    low, high = hu_window
    return ((hu - low) / (high - low)).clip(0.0, 1.0)


def unit_to_hu(unit: Values, hu_window: Sequence[float]) -> Values:
    """Maps [0, 1] back to HU, without clipping.

    Args:
        unit: values, any shape.
        hu_window: HU at 0 and 1.
    """
    low, high = hu_window
    return unit * (high - low) + low


def unit_integral_to_normalised(integral_mm: Numbers) -> Numbers:
    """Maps a unit integral in mm to a normalised projection.

    Args:
        integral_mm: unit integrals, any shape.
    """
    return integral_mm / (1000.0 * NORMALISATION_M)


def normalised_to_unit_integral(normalised: Numbers) -> Numbers:
    """Maps a normalised projection back to the unit integral in mm.

    Args:
        normalised: normalised projections, any shape.
    """
    return normalised * (1000.0 * NORMALISATION_M)


def normalised_to_attenuation(
    normalised: Values,
    hu_window: Sequence[float],
    mu_water_per_mm: float = MU_WATER_PER_MM,
    path_mm: Values | float | None = None,
) -> Values:
    """Maps a normalised projection to the attenuation p = integral of mu dl.

    mu = mu_water (1 + HU / 1000) with HU = lo + x (hi - lo), so that
    p = mu_water ((1 + lo / 1000) L + (hi - lo) / 1000 * unit integral), L the ray's path through the volume.

    Args:
        normalised: normalised projections, any shape.
        hu_window: (lo, hi) of the volume that was projected.
        mu_water_per_mm: attenuation of water at the beam's effective energy.
        path_mm: path L through the volume; only needed when lo is not air (-1000 HU).

    Raises:
        InputError: when lo is not -1000 and no path is given.
    """
    low, high = hu_window
    base = _base_attenuation(low, path_mm)
    return mu_water_per_mm * (base + (high - low) / 1000.0 * normalised_to_unit_integral(normalised))


def attenuation_per_unit_mm(hu_window: Sequence[float], mu_water_per_mm: float = MU_WATER_PER_MM) -> float:
    """Attenuation p for each mm of unit integral, for windows that start at air.

    Args:
        hu_window: HU at 0 and 1, the lower one air.
        mu_water_per_mm: attenuation of water at the beam's effective energy.
    """
    return float(normalised_to_attenuation(unit_integral_to_normalised(np.array(1.0)), hu_window, mu_water_per_mm))


def attenuation_to_normalised(
    attenuation: Values,
    hu_window: Sequence[float],
    mu_water_per_mm: float = MU_WATER_PER_MM,
    path_mm: Values | float | None = None,
) -> Values:
    """Maps the attenuation p = -ln(I / I0) to a normalised projection: the inverse of normalised_to_attenuation.

    Args:
        attenuation: p, any shape.
        hu_window: (lo, hi) of the volume that was projected.
        mu_water_per_mm: attenuation of water at the beam's effective energy.
        path_mm: path L through the volume; only needed when lo is not air (-1000 HU).
    """
    low, high = hu_window
    base = _base_attenuation(low, path_mm)
    integral_mm = (attenuation / mu_water_per_mm - base) * (1000.0 / (high - low))
    return unit_integral_to_normalised(integral_mm)


def rewindow_normalised(normalised: Values, source: Sequence[float], target: Sequence[float]) -> Values:
    """Maps projections normalised with one HU window to another with the same lower end.

    Args:
        normalised: normalised projections, any shape.
        source: the HU window that they have.
        target: the HU window that they get.

    Raises:
        InputError: when the lower ends differ, since the path through the volume is then needed.
    """
    if source[0] != target[0]:
        raise InputError(
            "hu_window",
            f"starts at {source[0]} HU in the projections and at {target[0]} HU in the configuration.",
            "Use a preset whose window starts at the same HU.",
        )
    return normalised * ((source[1] - source[0]) / (target[1] - target[0]))


def check_log_transformed(projections: np.ndarray, source: object) -> None:
    """Refuses projections that are plainly intensities, counts or transmissions instead of line integrals.

    Line integrals are near zero where only air was crossed and grow with the material; intensities do the opposite.

    Args:
        projections: [view, v, u].
        source: what to name in the message.

    Raises:
        InputError: when the values look like counts (above 50), or like transmissions (in [0, 1.1], and higher at
            the detector's side edges than in its middle).
    """
    remedy = "Convert intensities with p = -ln(I / I0) first."
    if float(np.max(projections)) > 50.0:
        raise InputError(
            source,
            f"has values up to {float(np.max(projections)):.4g}, so these are counts, not line integrals.",
            remedy,
        )
    columns = projections.shape[-1]
    if columns < 8 or float(projections.min()) < 0.0 or float(projections.max()) > 1.1:
        return
    edge = max(1, columns // 20)
    sides = np.concatenate([projections[..., :edge], projections[..., -edge:]], axis=-1).mean()
    middle = projections[..., columns * 2 // 5 : columns * 3 // 5].mean()
    if sides > 0.5 and sides > middle:
        raise InputError(source, "is brightest where rays cross only air, so it holds transmissions.", remedy)


def _base_attenuation(low: float, path_mm: Values | float | None) -> Values | float:
    """(1 + lo / 1000) L: zero for windows that start at air."""
    if low == -1000.0:
        return 0.0
    if path_mm is None:
        raise InputError("hu_window", f"starts at {low} HU, not at air.", "Give path_mm, the path through the volume.")
    return (1.0 + low / 1000.0) * path_mm

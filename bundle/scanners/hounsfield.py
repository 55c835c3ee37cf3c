"""Hounsfield units from reconstructed attenuation, calibrated on water and air.

HU = 1000 (mu - mu_water) / (mu_water - mu_air), so that water has 0 HU and air -1000 HU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from bundle.errors import InputError
from bundle.physics.attenuation import MU_WATER_RANGE_PER_MM

__all__ = ["HounsfieldCalibration", "calibrate_hounsfield", "hu_to_mu", "mu_to_hu", "mu_water_from_volume"]

Values = TypeVar("Values", np.ndarray, torch.Tensor)
Region = np.ndarray | Sequence[int]

_LARGEST_AIR = 0.5  # of water, either sign: artefacts, but not a swapped region


@dataclass(frozen=True)
class HounsfieldCalibration:
    """What a scanner's reconstructions show for water and air.

    Args:
        mu_water_per_mm: reconstructed attenuation of water.
        mu_air_per_mm: reconstructed attenuation of air, about zero.
    """

    mu_water_per_mm: float
    mu_air_per_mm: float = 0.0


def mu_to_hu(mu_per_mm: Values, mu_water_per_mm: float, mu_air_per_mm: float = 0.0) -> Values:
    """Converts attenuation to Hounsfield units.

    Args:
        mu_per_mm: attenuation, any shape.
        mu_water_per_mm: that of water, in the same reconstruction.
        mu_air_per_mm: that of air.

    Raises:
        InputError: when water does not attenuate more than air.
    """
    return (mu_per_mm - mu_water_per_mm) * (1000.0 / _contrast(mu_water_per_mm, mu_air_per_mm))


def hu_to_mu(hu: Values, mu_water_per_mm: float, mu_air_per_mm: float = 0.0) -> Values:
    """Converts Hounsfield units to attenuation per mm: the inverse of :func:`mu_to_hu`."""
    return hu * (_contrast(mu_water_per_mm, mu_air_per_mm) / 1000.0) + mu_water_per_mm


def mu_water_from_volume(mu_per_mm: np.ndarray, region: Region) -> float:
    """Median attenuation of a region of water.

    Args:
        mu_per_mm: [x, y, z] reconstructed attenuation.
        region: [x, y, z] bool, true in water, or voxels (x0, x1, y0, y1, z0, z1) with x0 <= x < x1 and so on.

    Raises:
        InputError: when the region is empty or not of the volume, its values are not finite, or their median is no
            attenuation of water per mm (0.003 to 0.1).
    """
    water = _median(mu_per_mm, region, "water_region")
    low, high = MU_WATER_RANGE_PER_MM
    if not low <= water <= high:
        remedy = "Check the region, and that the volume holds attenuation per mm (water: 0.0206 at 60 keV)."
        if high < water <= 10 * high:
            remedy = "This is per cm: divide the volume by 10."
        elif abs(water) > 10 * high:
            remedy = "Give attenuation per mm; these may be HU or counts."
        raise InputError(
            "water_region", f"has the median {water:.4g}, no attenuation of water per mm ({low} to {high}).", remedy
        )
    return water


def calibrate_hounsfield(
    mu_per_mm: np.ndarray, water_region: Region, air_region: Region | None = None
) -> HounsfieldCalibration:
    """Measures water, and air if a region of it is given, in a reconstruction of a phantom.

    Medians are used, so a few voxels of a wall or a bubble do not matter.

    Args:
        mu_per_mm: [x, y, z] reconstructed attenuation.
        water_region: mask or voxel ranges of water, as in :func:`mu_water_from_volume`.
        air_region: the same of air; mu_air is 0 without it.

    Raises:
        InputError: as :func:`mu_water_from_volume`, or when air attenuates more than half as much as water, or less
            than minus half.
    """
    water = mu_water_from_volume(mu_per_mm, water_region)
    if air_region is None:
        return HounsfieldCalibration(water)
    air = _median(mu_per_mm, air_region, "air_region")
    if abs(air) > _LARGEST_AIR * water:
        raise InputError(
            "air_region", f"has the median {air:.4g} per mm where water has {water:.4g}.", "Choose a region of air."
        )
    return HounsfieldCalibration(water, air)


def _contrast(mu_water_per_mm: float, mu_air_per_mm: float) -> float:
    contrast = mu_water_per_mm - mu_air_per_mm
    if not (contrast > 0 and np.isfinite(contrast)):
        raise InputError(
            "mu_water_per_mm", f"is {mu_water_per_mm}, not above air's {mu_air_per_mm}.", "Calibrate on water and air."
        )
    return contrast


def _median(volume: np.ndarray, region: Region, name: str) -> float:
    """Median of a volume in a mask or a box."""
    volume = np.asarray(volume)
    if volume.ndim != 3:
        raise InputError("mu_per_mm", f"has the shape {volume.shape}.", "Give a volume (x, y, z).")
    values = volume[_selection(volume.shape, region, name)]
    if not np.isfinite(values).all():
        raise InputError(name, "has NaN or infinite values.", "Choose a region inside the field of view.")
    return float(np.median(values))


def _selection(shape: tuple[int, ...], region: Region, name: str) -> np.ndarray | tuple[slice, ...]:
    """Index of a mask or a box that is not empty."""
    region = np.asarray(region)
    if region.dtype == bool and region.shape == shape and region.any():
        return region
    if region.dtype.kind in "iu" and region.shape == (6,):
        starts, stops = region[::2], region[1::2]
        if (starts >= 0).all() and (starts < stops).all() and (stops <= shape).all():
            return tuple(slice(int(a), int(b)) for a, b in zip(starts, stops))
    raise InputError(
        name,
        f"is no part of a volume of {shape} voxels.",
        "Give a mask of its shape that is true somewhere, or (x0, x1, y0, y1, z0, z1) inside it.",
    )

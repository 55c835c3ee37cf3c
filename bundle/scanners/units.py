"""Units of length in files that do not state them: conversion, and a check by magnitude."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence

import numpy as np

from bundle.errors import InputError

__all__ = ["DISTANCE_RANGE_MM", "SIZE_RANGE_MM", "check_millimetres", "millimetres_per_unit"]

DISTANCE_RANGE_MM = (10.0, 20_000.0)
"""Plausible distances from the source: from small-animal scanners to room-sized set-ups. In metres the distances of
any cone-beam scanner are below 10, in micrometres above 20,000."""

SIZE_RANGE_MM = (0.02, 50.0)
"""Plausible pitches of pixels and voxels, strongly binned ones included. In metres all that are used in practice are
below 0.02 (that would be 20 mm), in micrometres above 50 (0.05 mm)."""

_UNITS_MM = {"mm": 1.0, "cm": 10.0, "m": 1000.0}


def millimetres_per_unit(unit: str | float) -> float:
    """Millimetres in one unit of length.

    Args:
        unit: "mm", "cm" or "m", or the number of millimetres itself, for scenes scaled to a length of their own.

    Raises:
        InputError: when the unit is unknown or not positive.
    """
    number = _UNITS_MM.get(unit) if isinstance(unit, str) else unit
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 < number < float("inf"):
        raise InputError(
            "unit",
            f"is {unit!r}.",
            f"Use one of {', '.join(_UNITS_MM)}, or a positive number: millimetres in one unit.",
        )
    return float(number)


def check_millimetres(
    source: object,
    sod_mm: float | Sequence[float] | np.ndarray,
    sdd_mm: float | Sequence[float] | np.ndarray,
    pixel_mm: Sequence[float] | np.ndarray | None = None,
    voxel_mm: Sequence[float] | np.ndarray | None = None,
    names: Sequence[str] = ("SOD", "SDD", "pixel", "voxel"),
) -> None:
    """Refuses lengths that can hardly be millimetres, and lengths of which only some can.

    Distances are expected within :data:`DISTANCE_RANGE_MM` and pitches within :data:`SIZE_RANGE_MM`. A scan whose
    lengths are all too small is probably in metres, one whose lengths are all too large in micrometres; if only some
    are, units are mixed.

    Args:
        source: file or argument to name in the message.
        sod_mm: source-to-object distance, one or one per view.
        sdd_mm: source-to-detector distance, one or one per view.
        pixel_mm: pixel pitch in any order; None if the source has none.
        voxel_mm: voxel size in any order; None if the source has none.
        names: what the source calls the four quantities.

    Raises:
        InputError: with the values found and how to state their unit.
    """
    plausible: list[str] = []
    small: list[str] = []
    large: list[str] = []
    ranges = (DISTANCE_RANGE_MM, DISTANCE_RANGE_MM, SIZE_RANGE_MM, SIZE_RANGE_MM)
    for name, values, (low, high) in zip(names, (sod_mm, sdd_mm, pixel_mm, voxel_mm), ranges):
        if values is None:
            continue
        array = np.atleast_1d(np.asarray(values, dtype=np.float64))
        if not np.all(np.isfinite(array) & (array > 0)):
            raise InputError(source, f"has {_show(name, array)}.", "Give positive lengths.")
        group = small if array.min() < low else large if array.max() > high else plausible
        group.append(_show(name, array))
    if not small and not large:
        return
    ranges_text = (
        f"Distances of {_range(DISTANCE_RANGE_MM)} and pixels and voxels of {_range(SIZE_RANGE_MM)} mm are expected"
    )
    if bool(plausible) + bool(small) + bool(large) > 1:
        found = [
            f"{', '.join(group)} ({reading})"
            for group, reading in ((plausible, "plausible in mm"), (small, "too small"), (large, "too large"))
            if group
        ]
        raise InputError(
            source,
            f"mixes units of length: read in mm it has {', '.join(found)}.",
            f"{ranges_text}: write all lengths in one unit, and state it (unit=...) if it is another.",
        )
    likely = "metres" if small else "micrometres"
    raise InputError(
        source,
        f"is hardly in millimetres: read so it has {', '.join(small or large)}, which look like {likely}.",
        f'{ranges_text}: state the unit with unit="m" for metres, or with the millimetres in one unit, such as '
        "unit=0.001 for micrometres.",
    )


def _show(name: str, array: np.ndarray) -> str:
    numbers = [float(f"{value:.6g}") for value in dict.fromkeys(array.tolist())]
    return f"{name} {numbers[0]:g}" if len(numbers) == 1 else f"{name} {reprlib.repr(numbers)}"


def _range(limits: tuple[float, float]) -> str:
    return f"{limits[0]:g} to {limits[1]:g}"

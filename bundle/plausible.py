"""What a scan's numbers can be: one table of ranges, and the checks that all readers share."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bundle.errors import InputError

if TYPE_CHECKING:
    from bundle.geometry import ConeBeamGeometry

__all__ = [
    "DISTANCE_RANGE_MM",
    "HU_RANGE",
    "POSITION_RANGE_MM",
    "SIZE_RANGE_MM",
    "check_hu_window",
    "check_millimetres",
    "check_positions",
    "check_radians",
    "check_scan",
]

DISTANCE_RANGE_MM = (10.0, 20_000.0)
"""Plausible distances from the source: from small-animal scanners to room-sized set-ups. In metres the distances of
any cone-beam scanner are below 10, in micrometres above 20,000."""

SIZE_RANGE_MM = (0.02, 50.0)
"""Plausible pitches of pixels and voxels, strongly binned ones included. In metres all that are used in practice are
below 0.02 (that would be 20 mm), in micrometres above 50 (0.05 mm)."""

POSITION_RANGE_MM = (-20_000.0, 20_000.0)
"""Plausible coordinates, from the isocentre or in the patient's frame."""

HU_RANGE = (-4096.0, 40_000.0)
"""Ends of HU windows: from the padding of some scanners to metal on extended scales."""

LEAST_WINDOW_HU = 10.0
"""Narrower windows hold less than the noise of any CT."""

_MOST_UNWRAPPED_RAD = 4 * np.pi
_MOST_SWEPT_STEP_RAD = 0.09  # degrees in finer steps would be more than 4000 views a turn


def check_radians(source: object, angles_rad: Sequence[float] | np.ndarray) -> None:
    """Refuses gantry angles that are probably in degrees.

    Angles beyond two turns are radians only where the gantry sweeps on in small steps.

    Args:
        source: argument or entry to name in the message.
        angles_rad: [views] angles in the order of the views; NaN where a view has none.

    Raises:
        InputError: with the largest angle.
    """
    angles = np.asarray(angles_rad, dtype=np.float64)
    angles = angles[~np.isnan(angles)]
    largest = float(np.abs(angles).max(initial=0.0))
    steps = np.abs(np.diff(angles))
    if largest > _MOST_UNWRAPPED_RAD and not (steps.size and steps.max() < _MOST_SWEPT_STEP_RAD):
        raise InputError(
            source,
            f"reaches {largest:g}: are these degrees?",
            "Give radians, as np.deg2rad(angles); if they are radians, take the turns off: np.mod(angles, 2 * np.pi).",
        )


def check_hu_window(source: object, hu_window: Sequence[float]) -> None:
    """Refuses HU windows that hold no CT.

    Args:
        source: file or setting to name in the message.
        hu_window: HU at 0 and 1.

    Raises:
        InputError: when the ends are not two, not in order, less than 10 HU apart, or outside :data:`HU_RANGE`.
    """
    try:
        low, high = (float(end) for end in hu_window)
    except (TypeError, ValueError, OverflowError):
        low = high = math.nan
    if not (HU_RANGE[0] <= low and high <= HU_RANGE[1] and high - low >= LEAST_WINDOW_HU):
        raise InputError(
            source,
            f"has the HU window {reprlib.repr(hu_window)}.",
            f"Give two numbers from {HU_RANGE[0]:g} to {HU_RANGE[1]:g} HU, the lower first and {LEAST_WINDOW_HU:g} "
            "HU or more apart.",
        )


def check_positions(source: object, name: str, positions_mm: Sequence[float] | np.ndarray) -> None:
    """Refuses coordinates beyond :data:`POSITION_RANGE_MM`.

    Args:
        source: file or argument to name in the message.
        name: what lies there.
        positions_mm: coordinates, any shape.

    Raises:
        InputError: with the coordinate that is farthest out.
    """
    positions = np.asarray(positions_mm, dtype=np.float64).ravel()
    low, high = POSITION_RANGE_MM
    if not np.all((positions >= low) & (positions <= high)):
        farthest = positions[int(np.argmax(np.abs(positions)))]
        raise InputError(
            source,
            f"has {name} at {farthest:g} mm, {abs(farthest) / 1e6:.3g} km away.",
            f"Give coordinates in mm, from {low:g} to {high:g}.",
        )


def check_scan(source: object, geometry: ConeBeamGeometry) -> None:
    """Refuses a scan that is larger or smaller than any scanner's.

    Args:
        source: file or argument to name in the message.
        geometry: the scan, in millimetres.

    Raises:
        InputError: as :func:`check_millimetres` and :func:`check_positions`.
    """
    source_mm, centre_mm = geometry.source_mm, geometry.detector_centre_mm
    check_millimetres(
        source,
        np.linalg.norm(source_mm, axis=1),
        np.abs(np.sum((centre_mm - source_mm) * geometry.normal, axis=1)),
        geometry.pixel_mm,
        geometry.voxel_mm,
        names=("source to isocentre", "source to detector", "pixel_mm", "voxel_mm"),
        unit_is_fixed=True,
    )
    check_positions(source, "a detector", centre_mm)
    check_positions(source, "the volume's centre", geometry.volume_centre_mm)


def check_millimetres(
    source: object,
    sod_mm: float | Sequence[float] | np.ndarray,
    sdd_mm: float | Sequence[float] | np.ndarray,
    pixel_mm: Sequence[float] | np.ndarray | None = None,
    voxel_mm: Sequence[float] | np.ndarray | None = None,
    names: Sequence[str] = ("SOD", "SDD", "pixel", "voxel"),
    unit_is_fixed: bool = False,
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
        unit_is_fixed: whether the source is always in millimetres, so that no unit can be stated.

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
            f"{ranges_text}: write all lengths in millimetres."
            if unit_is_fixed
            else f"{ranges_text}: write all lengths in one unit, and state it (unit=...) if it is another.",
        )
    likely = "metres" if small else "micrometres"
    raise InputError(
        source,
        f"is hardly in millimetres: read so it has {', '.join(small or large)}, which look like {likely}.",
        f"{ranges_text}: write all lengths in millimetres."
        if unit_is_fixed
        else f'{ranges_text}: state the unit with unit="m" for metres, or with the millimetres in one unit, such as '
        "unit=0.001 for micrometres.",
    )


def _show(name: str, array: np.ndarray) -> str:
    numbers = list(dict.fromkeys(float(f"{value:.6g}") for value in array.tolist()))
    return f"{name} {numbers[0]:g}" if len(numbers) == 1 else f"{name} {reprlib.repr(numbers)}"


def _range(limits: tuple[float, float]) -> str:
    return f"{limits[0]:g} to {limits[1]:g}"

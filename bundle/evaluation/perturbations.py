"""The robustness suite: named, seeded departures of a scan from the ideal one, at several levels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bundle.errors import InputError
from bundle.physics.acquisition import Acquisition
from bundle.physics.metal import RandomMetal
from bundle.physics.noise import DetectorNoise
from bundle.physics.truncation import DetectorTruncation
from bundle.sampling.misalignment import Misalignment

__all__ = ["FAMILIES", "UNPERTURBED", "Family", "Perturbation", "list_perturbations"]

_STARVING_PHOTONS = 1e6


@dataclass(frozen=True)
class Family:
    """A kind of perturbation.

    Args:
        unit: what its levels count.
        changes: the settings of ``configs/evaluate.json`` that differ, for a level.
    """

    unit: str
    changes: Callable[[float], dict[str, Any]]


@dataclass(frozen=True)
class Perturbation:
    """One level of a perturbation.

    Args:
        name: its family, or "none".
        level: how strong; None for "none".
        unit: what the level counts.
        changes: settings of the evaluation that differ.
    """

    name: str = "none"
    level: float | None = None
    unit: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Name of a folder for its results."""
        return self.name if self.level is None else f"{self.name}_{self.level:g}"

    @property
    def keys(self) -> dict[str, Any]:
        """Its columns in tables of results."""
        return {"perturbation": self.name, "level": self.level, "unit": self.unit}


UNPERTURBED = Perturbation()


def _metal(radius_mm: float) -> dict[str, Any]:
    rods = RandomMetal(
        count=2,
        materials=("stainless_steel",),
        radius_mm=(radius_mm, radius_mm),
        length_mm=(4 * radius_mm, 4 * radius_mm),
    )
    return {"acquisition": Acquisition(metal=rods, noise=DetectorNoise(_STARVING_PHOTONS))}


FAMILIES: dict[str, Family] = {
    # Two steel rods in bone, four radii long; behind them hardly a photon of a million is left.
    "metal": Family("mm radius", _metal),
    "noise": Family("photons per pixel", lambda level: {"acquisition": Acquisition(noise=DetectorNoise(level))}),
    # The projections differ from the scan that the methods are told: errors of calibration.
    "angle_jitter": Family("degrees", lambda level: {"misalignment": Misalignment(angle_deg=level)}),
    "detector_shift": Family("mm", lambda level: {"misalignment": Misalignment(detector_shift_mm=(0.0, level))}),
    "missing_views": Family("views", lambda level: {"missing_views": _whole("missing_views", level)}),
    "truncation": Family("share of columns", lambda level: {"truncation": DetectorTruncation(level)}),
}
"""The perturbations by name."""


def list_perturbations(levels: Mapping[str, Sequence[float]]) -> list[Perturbation]:
    """The unperturbed scan, and every level of the named perturbations.

    Args:
        levels: by name of the family.

    Raises:
        InputError: when a name is unknown or a level is not a number that it takes.
    """
    listed = [UNPERTURBED]
    for name, values in levels.items():
        if name not in FAMILIES:
            raise InputError(f"perturbations.{name}", "is unknown.", f"Use some of {', '.join(FAMILIES)}.")
        if isinstance(values, str) or not isinstance(values, Sequence) or not values or not all(map(_is_level, values)):
            raise InputError(f"perturbations.{name}", f"is {values!r}.", f"Give its levels, in {FAMILIES[name].unit}.")
        family = FAMILIES[name]
        # Perturbed scans differ from any that a data set has stored.
        fresh = {"prepared_projections": False, "cache_projections": False}
        for level in dict.fromkeys(map(float, values)):
            listed.append(Perturbation(name, level, family.unit, {**family.changes(level), **fresh}))
    return listed


def _is_level(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _whole(name: str, level: float) -> int:
    if level != int(level) or level < 1:
        raise InputError(f"perturbations.{name}", f"has the level {level:g}.", "Give whole numbers from 1.")
    return int(level)

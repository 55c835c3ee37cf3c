"""The robustness suite: named, seeded departures of a scan from the ideal one, at several levels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bundle.errors import InputError
from bundle.optional import require
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
        changes: the settings of ``configs/evaluate.json`` that differ, for a level and the unperturbed scan's physics.
    """

    unit: str
    changes: Callable[[float, Acquisition], dict[str, Any]]


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
        return self.name if self.level is None else f"{self.name}_{self.level:.15g}"

    @property
    def keys(self) -> dict[str, Any]:
        """Its columns in tables of results."""
        return {"perturbation": self.name, "level": self.level, "unit": self.unit}


UNPERTURBED = Perturbation()


def _metal(radius_mm: float, base: Acquisition) -> dict[str, Any]:
    require("xraydb", "xraydb", "the perturbation metal")  # now, not in the middle of an evaluation
    rods = RandomMetal(
        count=2,
        materials=("stainless_steel",),
        radius_mm=(radius_mm, radius_mm),
        length_mm=(4 * radius_mm, 4 * radius_mm),
    )
    return _physics(base, metal=rods, noise=base.noise or DetectorNoise(_STARVING_PHOTONS))


def _physics(base: Acquisition, **changes: Any) -> dict[str, Any]:
    return {"acquisition": replace(base, **changes)}


FAMILIES: dict[str, Family] = {
    # Two steel rods in bone, four radii long; behind them hardly a photon of a million is left.
    "metal": Family("mm radius", _metal),
    "noise": Family("photons per pixel", lambda level, base: _physics(base, noise=DetectorNoise(level))),
    # The projections differ from the scan that the methods are told: errors of calibration.
    "angle_jitter": Family("degrees", lambda level, _: {"misalignment": Misalignment(angle_deg=level)}),
    "detector_shift": Family("mm", lambda level, _: {"misalignment": Misalignment(detector_shift_mm=(0.0, level))}),
    "missing_views": Family("views", lambda level, _: {"missing_views": _whole("missing_views", level)}),
    "truncation": Family("share of columns", lambda level, _: {"truncation": DetectorTruncation(level)}),
}
"""The perturbations by name."""


def list_perturbations(
    levels: Mapping[str, Sequence[float]], acquisition: Acquisition | None = None
) -> list[Perturbation]:
    """The unperturbed scan, and every level of the named perturbations.

    Args:
        levels: by name of the family.
        acquisition: physics of the unperturbed scan, which perturbations add to; exact if None.

    Raises:
        InputError: when a name is unknown or a level is not a number that it takes.
        ImportError: when a package that a perturbation needs is missing.
    """
    # Perturbed scans differ from any that a data set has stored, and are compared with one that was made like them.
    fresh = {"prepared_projections": False, "cache_projections": False}
    listed = [replace(UNPERTURBED, changes=fresh if levels else {})]
    for name, values in levels.items():
        if name not in FAMILIES:
            raise InputError(f"perturbations.{name}", "is unknown.", f"Use some of {', '.join(FAMILIES)}.")
        if isinstance(values, str) or not isinstance(values, Sequence) or not values or not all(map(_is_level, values)):
            raise InputError(f"perturbations.{name}", f"is {values!r}.", f"Give its levels, in {FAMILIES[name].unit}.")
        family = FAMILIES[name]
        for level in dict.fromkeys(map(float, values)):
            changes = family.changes(level, acquisition or Acquisition())
            listed.append(Perturbation(name, level, family.unit, {**changes, **fresh}))
    return listed


def _is_level(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _whole(name: str, level: float) -> int:
    if level != int(level) or level < 1:
        raise InputError(f"perturbations.{name}", f"has the level {level:g}.", "Give whole numbers from 1.")
    return int(level)

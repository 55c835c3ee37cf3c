"""The levels of perturbations: their order and their words."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["is_stronger_when_less", "mild_to_strong", "told_amount", "told_level"]

_STRONGER_WHEN_LESS = frozenset({"noise", "truncation"})  # fewer photons, fewer columns of the detector
Level = tuple[float | None, str]


def is_stronger_when_less(perturbation: str) -> bool:
    """Whether a perturbation grows as its level falls."""
    return perturbation in _STRONGER_WHEN_LESS


def mild_to_strong(perturbation: str, levels: Iterable[Level]) -> list[Level]:
    """Levels and units in the order of their strength, what has no level first."""
    sign = -1.0 if is_stronger_when_less(perturbation) else 1.0
    return sorted(levels, key=lambda level: (level[0] is not None, sign * (level[0] or 0.0), level[1]))


def told_amount(level: float | None, unit: str) -> str:
    """A level with its unit: "1 degree", "10,000 photons per pixel"; empty without a level."""
    if level is None:
        return ""
    first, space, rest = unit.partition(" ")
    if level == 1:
        first = first.removesuffix("s")
    return f"{level:,.12g} {first}{space}{rest}".strip()


def told_level(perturbation: str, level: float | None, unit: str) -> str:
    """A perturbation and its level: "noise: 10,000 photons", "missing views: 2"; empty for none."""
    if perturbation == "none":
        return ""
    name = perturbation.replace("_", " ")
    return ": ".join(filter(None, [name, told_amount(level, "" if unit and name.endswith(unit) else unit)]))

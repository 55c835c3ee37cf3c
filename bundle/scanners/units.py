"""Units of length in files that do not state them."""

from __future__ import annotations

from bundle.errors import InputError

__all__ = ["millimetres_per_unit"]

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

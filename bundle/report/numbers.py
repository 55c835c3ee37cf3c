"""Reading numbers from result rows, and telling them to a reader."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from bundle.errors import InputError

__all__ = ["UNDEFINED", "number", "plain", "printable", "told", "told_interval", "told_level", "told_p_value", "whole"]

UNDEFINED = "undefined"


def number(value: Any) -> float | None:
    """A row's value as a number; None where it is undefined: None, empty, NaN or infinite.

    Raises:
        InputError: when it is another text.
    """
    if value is None or value == "":
        return None
    try:
        found = float(value)
    except (TypeError, ValueError) as error:
        raise InputError("a result row", f"has {value!r} for a number.", "Evaluate the cases again.") from error
    return found if math.isfinite(found) else None


def whole(value: Any) -> int:
    """A row's value as a whole number, 0 where it is undefined."""
    return round(number(value) or 0)


def told(value: float | None, decimals: int, signed: bool = False) -> str:
    """A number in digits, with a proper minus sign and none before zero; or that it is undefined."""
    if value is None:
        return UNDEFINED
    text = f"{abs(value):.{decimals}f}"
    if not float(text):
        return text
    return ("−" if value < 0 else "+" if signed else "") + text  # noqa: RUF001


def told_interval(low: float | None, high: float | None, decimals: int, signed: bool = False) -> str:
    """A range of numbers; empty where it is undefined."""
    if low is None or high is None:
        return ""
    between = " to " if signed or low < 0 else "–"  # noqa: RUF001
    return told(low, decimals, signed) + between + told(high, decimals, signed)


def told_p_value(value: float | None) -> str:
    """A p value in three digits with its relation, or that there are too few cases for one."""
    if value is None:
        return "too few cases"
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def told_level(perturbation: str, level: float | None, unit: str) -> str:
    """A perturbation and its level in words, empty for none."""
    if perturbation == "none":
        return ""
    return " ".join([perturbation.replace("_", " "), *(() if level is None else (f"{level:g} {unit}".strip(),))])


def printable(text: Any) -> str:
    """A text in which what is no character, as in file names that are not UTF-8, is escaped as Python shows it."""
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")


def plain(value: Any) -> Any:
    """A value as JSON can hold it: paths as text, numpy's numbers as Python's, numbers that are none as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(part) for part in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)

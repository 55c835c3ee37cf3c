"""Reading numbers from result rows, and telling them to a reader."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = [
    "REFERENCES",
    "UNDEFINED",
    "counted",
    "number",
    "plain",
    "told",
    "told_interval",
    "told_p_value",
    "told_reference",
    "whole",
]

UNDEFINED = "undefined"
REFERENCES = {"segmented": "the segmentation of the truth", "labels": "the given labels"}
"""What structures are compared with, in words, in the order in which it is shown."""


def told_reference(name: str) -> str:
    """What structures are compared with, in words."""
    return REFERENCES.get(name, name)


def number(value: Any) -> float | None:
    """A row's value as a number, which may be infinite; None where it is undefined: None, empty or NaN.

    Raises:
        ValueError: when it is another text.
        TypeError: when it is something else.
    """
    if value is None or value == "":
        return None
    found = float(value)
    return None if math.isnan(found) else found


def whole(value: Any) -> int:
    """A row's value as a whole number, 0 where it is undefined."""
    return round(number(value) or 0)


def counted(count: int, noun: str) -> str:
    """A number of things: "1 view", "2 views"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def told(value: float | None, decimals: int, signed: bool = False) -> str:
    """A number in digits, with a proper minus sign and none before zero; or that it is undefined."""
    if value is None or math.isnan(value):
        return UNDEFINED
    text = "∞" if math.isinf(value) else f"{abs(value):.{decimals}f}"
    if not value or not float(text.replace("∞", "inf")):
        return text
    return ("−" if value < 0 else "+" if signed else "") + text  # noqa: RUF001


def told_interval(low: float | None, high: float | None, decimals: int, signed: bool = False) -> str:
    """A range of numbers; empty where it is undefined."""
    if low is None or high is None:
        return ""
    between = " to " if signed or low < 0 else "–"  # noqa: RUF001
    return told(low, decimals, signed) + between + told(high, decimals, signed)


def told_p_value(value: float) -> str:
    """A p value in three digits, with its relation."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def plain(value: Any) -> Any:
    """A value as JSON can hold it: paths as text, numpy's numbers as Python's, infinity as "inf", NaN as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(part) for part in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)

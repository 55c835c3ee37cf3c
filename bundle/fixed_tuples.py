"""Tuples of a known length from any values."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np

from bundle.errors import InputError

__all__ = ["MOST_ELEMENTS", "pair", "sizes", "triple"]

MOST_ELEMENTS = 2**33
"""Voxels of a volume, or pixels of a detector, beyond which a size is a mistake or an attack (2048 along each axis)."""

Value = TypeVar("Value")


def pair(values: Iterable[Value]) -> tuple[Value, Value]:
    """Two values as a tuple."""
    first, second = values
    return first, second


def triple(values: Iterable[Value]) -> tuple[Value, Value, Value]:
    """Three values as a tuple."""
    first, second, third = values
    return first, second, third


def sizes(key: str, values: Any, count: int, kind: type) -> tuple:
    """Positive numbers as a tuple.

    Args:
        key: what to name in the message.
        values: the numbers.
        count: how many there must be.
        kind: int or float.

    Raises:
        InputError: when they are not so many positive numbers of the kind, or no array has such a size.
    """
    try:
        numbers = [float(v) for v in values]
    except (TypeError, ValueError, OverflowError):
        raise InputError(key, f"is {values!r}.", f"Give {count} numbers.") from None
    whole = all(n == int(n) for n in numbers if np.isfinite(n))
    if len(numbers) != count or not all(np.isfinite(n) and n > 0 for n in numbers) or (kind is int and not whole):
        raise InputError(
            key,
            f"is {list(values)}.",
            f"Give {count} positive {'integers' if kind is int else 'numbers'}.",
        )
    if kind is int and math.prod(numbers) > MOST_ELEMENTS:
        raise InputError(
            key,
            f"is {list(values)}: {math.prod(numbers):.3g} elements.",
            "Give sizes in pixels or voxels.",
        )
    return tuple(kind(n) for n in numbers)

"""Tuples of a known length from any values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

__all__ = ["pair", "triple"]

Value = TypeVar("Value")


def pair(values: Iterable[Value]) -> tuple[Value, Value]:
    """Two values as a tuple."""
    first, second = values
    return first, second


def triple(values: Iterable[Value]) -> tuple[Value, Value, Value]:
    """Three values as a tuple."""
    first, second, third = values
    return first, second, third

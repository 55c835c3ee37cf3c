"""Numbers on disk: fewer bytes than float32, with a scale and an offset that are stored beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bundle.errors import InputError

__all__ = ["PRECISIONS", "Coding", "precise_coding"]

PRECISIONS: dict[str, np.dtype] = {
    "uint16": np.dtype(np.uint16),
    "float16": np.dtype(np.float16),
    "float32": np.dtype(np.float32),
    "legacy_uint8": np.dtype(np.uint8),
}
"""By name. uint16 errs by at most 1/131070 of the range: 0.015 HU over 2000 HU, where float16 errs by up to 0.5 HU.
legacy_uint8 errs by up to 4 HU; it is what the published release stores, for comparisons with it alone."""


@dataclass(frozen=True)
class Coding:
    """How stored numbers stand for values: value = number * scale + offset.

    Args:
        scale: value of one step.
        offset: value of zero.
    """

    scale: float = 1.0
    offset: float = 0.0

    def encode(self, values: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Values as numbers of a type; integers are rounded, and values beyond their range become its ends."""
        if dtype.kind == "f":
            return values.astype(dtype)
        steps = np.rint((values - self.offset) / self.scale)
        return np.clip(steps, 0, np.iinfo(dtype).max).astype(dtype)

    def decode(self, numbers: np.ndarray) -> np.ndarray:
        """Float32 values of stored numbers."""
        values = numbers.astype(np.float32)
        if self.scale != 1.0:
            values *= np.float32(self.scale)
        if self.offset != 0.0:
            values += np.float32(self.offset)
        return values

    @classmethod
    def of(cls, record: dict[str, Any], source: object) -> Coding:
        """From a record with "scale" and "offset".

        Raises:
            InputError: when they are missing or make no sense.
        """
        try:
            coding = cls(float(record["scale"]), float(record["offset"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(source, f"has a damaged scale or offset ({error}).", "Prepare the case again.") from error
        if not (np.isfinite([coding.scale, coding.offset]).all() and coding.scale > 0):
            raise InputError(source, f"has the scale {coding.scale}.", "Prepare the case again.")
        return coding


def precise_coding(dtype: np.dtype, low: float, high: float) -> Coding:
    """The coding that stores values between two as precisely as a type can; floating numbers stand for themselves."""
    if dtype.kind == "f":
        return Coding()
    span = float(high) - float(low)
    return Coding(span / np.iinfo(dtype).max if span > 0 else 1.0, float(low))

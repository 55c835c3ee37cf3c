"""Volumes gathered slice by slice, in the smallest type that holds them."""

from __future__ import annotations

import math

import numpy as np

from bundle.data.checks import check_spatial
from bundle.errors import InputError
from bundle.memory_bound import check_memory

__all__ = ["SliceStack"]

_LARGEST_BYTES = 4  # of a voxel
_INT16 = np.iinfo(np.int16)


class SliceStack:
    """A volume that starts as int16 and becomes float32 with the first value that int16 cannot hold.

    No second copy of the volume exists but in the moment of that change.

    Args:
        shape: (i, j, k).
        source: what it is read from, for messages.

    Raises:
        InputError: when there are not three axes of at least two voxels.
    """

    def __init__(self, shape: tuple[int, ...], source: object) -> None:
        check_spatial(tuple(shape), source)
        sizes = " x ".join(str(n) for n in shape)
        check_memory(_LARGEST_BYTES * math.prod(shape), source, f"has {sizes} voxels, which take", "Resample it first.")
        self._source = source
        self.values = np.empty(shape, np.int16, order="F")

    def put(self, k: int, plane: np.ndarray) -> None:
        """Stores slice k.

        Args:
            k: index along the third axis.
            plane: [i, j] numbers.

        Raises:
            InputError: when they are not real numbers.
        """
        if plane.dtype.kind not in "iuf":
            raise InputError(self._source, f"holds values of type {plane.dtype}.", "Save it as integers or floats.")
        if self.values.dtype == np.int16 and not _fits_int16(plane):
            self.values = self.values.astype(np.float32)
        self.values[..., k] = plane


def _fits_int16(plane: np.ndarray) -> bool:
    if np.can_cast(plane.dtype, np.int16):
        return True
    # Values that are not finite fail the comparison.
    if not (plane.min() >= _INT16.min and plane.max() <= _INT16.max):
        return False
    return plane.dtype.kind in "iu" or bool((plane == np.rint(plane)).all())

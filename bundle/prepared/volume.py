"""Stored volumes, read by sub-lattices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from bundle.errors import InputError
from bundle.prepared.lattice import block_voxels, join_blocks
from bundle.prepared.precision import Coding
from bundle.prepared.stored_array import StoredArray

__all__ = ["LatticeVolume"]

_BEYOND = 1e-3  # of rounding


class LatticeVolume:
    """A stored volume, read by sub-lattices.

    Args:
        array: [block, x, y, z].
        factors: steps (x, y, z) of the sub-lattices.
        coding: of the stored numbers.

    Raises:
        InputError: when the array has not one block per sub-lattice, or stands for values beyond 0 to 1.
    """

    def __init__(self, array: StoredArray, factors: Sequence[int], coding: Coding) -> None:
        self.array, self.coding = array, coding
        self.factors = tuple(int(f) for f in factors)
        if len(array.shape) != 4 or len(self.factors) != 3 or array.shape[0] != np.prod(self.factors):
            raise InputError(
                array.path, f"has shape {array.shape} for steps {self.factors}.", "Prepare the case again."
            )
        if array.dtype.kind != "f":
            limits = np.iinfo(array.dtype)
            self._check_range(*(coding.offset + coding.scale * n for n in (limits.min, limits.max)))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels (x, y, z)."""
        x, y, z = (n * f for n, f in zip(self.array.shape[1:], self.factors))
        return x, y, z

    def values(self, block: int, index: np.ndarray) -> np.ndarray:
        """[points] float32 values at indices [points, 3] in a block, of which nothing else is decoded."""
        return self.coding.decode(self._checked(self.array[block])[tuple(index.T)])

    def voxels(self, block: int, index: np.ndarray) -> np.ndarray:
        """[points, 3] indices in the volume of indices [points, 3] in a block."""
        return block_voxels(block, index, self.factors)

    def read(self) -> torch.Tensor:
        """[X, Y, Z] float32."""
        volume = torch.empty(self.shape)
        parts = volume.numpy()
        for block, numbers in enumerate(self.read_stored()):
            first = np.unravel_index(block, self.factors)
            every = tuple(slice(start, None, step) for start, step in zip(first, self.factors))
            parts[every] = self.coding.decode(numbers)
        return volume

    def read_stored(self) -> np.ndarray:
        """[block, x, y, z] as stored, for keeping on a device."""
        return self._checked(self.array.read())

    def _checked(self, numbers: np.ndarray) -> np.ndarray:
        """Stored numbers whose values are those of a volume, which of floating ones only they themselves tell."""
        if numbers.dtype.kind == "f" and numbers.size:
            if not np.isfinite([numbers.min(), numbers.max()]).all():
                bad = int(numbers.size - np.isfinite(numbers).sum())
                raise InputError(self.array.path, f"has {bad} NaN or infinite values.", "Prepare the case again.")
            self._check_range(*self.coding.decode(np.array([numbers.min(), numbers.max()])).tolist())
        return numbers

    def _check_range(self, low: float, high: float) -> None:
        if not (low >= -_BEYOND and high <= 1 + _BEYOND):
            raise InputError(
                self.array.path,
                f"holds values from {low:.4g} to {high:.4g}, where a volume has 0 to 1.",
                "Prepare the case again.",
            )

    def decode(self, stored: torch.Tensor) -> torch.Tensor:
        """[X, Y, Z] float32 of stored blocks, on their device."""
        return join_blocks(stored, self.factors).float().mul_(self.coding.scale).add_(self.coding.offset)

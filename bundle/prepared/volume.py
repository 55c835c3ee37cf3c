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


class LatticeVolume:
    """A stored volume, read by sub-lattices.

    Args:
        array: [block, x, y, z].
        factors: steps (x, y, z) of the sub-lattices.
        coding: of the stored numbers.

    Raises:
        InputError: when the array has not one block per sub-lattice.
    """

    def __init__(self, array: StoredArray, factors: Sequence[int], coding: Coding) -> None:
        self.array, self.coding = array, coding
        self.factors = tuple(int(f) for f in factors)
        if len(array.shape) != 4 or len(self.factors) != 3 or array.shape[0] != np.prod(self.factors):
            raise InputError(
                array.path, f"has shape {array.shape} for steps {self.factors}.", "Prepare the case again."
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels (x, y, z)."""
        x, y, z = (n * f for n, f in zip(self.array.shape[1:], self.factors))
        return x, y, z

    def values(self, block: int, index: np.ndarray) -> np.ndarray:
        """[points] float32 values at indices [points, 3] in a block, of which nothing else is decoded."""
        return self.coding.decode(self.array[block][tuple(index.T)])

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
        return self.array.read()

    def decode(self, stored: torch.Tensor) -> torch.Tensor:
        """[X, Y, Z] float32 of stored blocks, on their device."""
        return join_blocks(stored, self.factors).float().mul_(self.coding.scale).add_(self.coding.offset)

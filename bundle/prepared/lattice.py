"""Volumes as interleaved sub-lattices: every n-th voxel along each axis is one contiguous block.

A block is the whole field of view at a coarser sampling. A training item that draws its points from one block of 64
reads a 64th of the volume, and still sees all of the patient (DeepSparse's data preparation).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

__all__ = ["block_voxels", "join_blocks", "lattice_factors", "split_blocks"]


def lattice_factors(shape: Sequence[int]) -> tuple[int, int, int]:
    """Steps (x, y, z) of the sub-lattices: 4 where the number of voxels allows it, else 2 or 1."""
    x, y, z = (next(factor for factor in (4, 2, 1) if n % factor == 0) for n in shape)
    return x, y, z


def split_blocks(volume: np.ndarray, factors: Sequence[int]) -> np.ndarray:
    """Sorts a volume [X, Y, Z] into blocks [a b c, X / a, Y / b, Z / c] for steps (a, b, c), the last axis fastest."""
    a, b, c = factors
    x, y, z = (n // f for n, f in zip(volume.shape, factors))
    parts = volume.reshape(x, a, y, b, z, c).transpose(1, 3, 5, 0, 2, 4)
    return np.ascontiguousarray(parts).reshape(a * b * c, x, y, z)


def join_blocks(blocks: torch.Tensor, factors: Sequence[int]) -> torch.Tensor:
    """The volume [X, Y, Z] of its blocks [a b c, x, y, z]."""
    x, y, z = blocks.shape[1:]
    a, b, c = factors
    return blocks.reshape(a, b, c, x, y, z).permute(3, 0, 4, 1, 5, 2).reshape(a * x, b * y, c * z)


def block_voxels(block: int, index: np.ndarray, factors: Sequence[int]) -> np.ndarray:
    """Indices in the volume [..., 3] of voxels with the indices [..., 3] in a block."""
    return index * np.asarray(factors) + np.stack(np.unravel_index(block, tuple(factors)), axis=-1)

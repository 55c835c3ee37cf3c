"""Drawing training points from a volume."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

__all__ = ["draw_neighbours", "draw_voxels", "is_held_out", "voxel_positions"]


def voxel_positions(index: np.ndarray, shape: Sequence[int], corner: bool = False) -> np.ndarray:
    """Places voxels in the unit cube.

    Args:
        index: [points, 3] voxel indices (x, y, z).
        shape: voxels (x, y, z).
        corner: put voxel i of n at i / (n - 1), as published weights learnt it, instead of (i + 1/2) / n.

    Returns:
        [points, 3] float32 positions.
    """
    size = np.asarray(shape)
    positions = index / np.maximum(size - 1, 1) if corner else (index + 0.5) / size
    return positions.astype(np.float32)


def is_held_out(index: np.ndarray, every: int) -> np.ndarray:
    """[points] true for the voxels that are never trained on: every n-th along the diagonal planes."""
    return index.sum(axis=1) % every == 0


def draw_voxels(
    count: int,
    shape: Sequence[int],
    rng: np.random.RandomState,
    held_out: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """Draws voxels uniformly, with replacement.

    Args:
        count: number of voxels.
        shape: voxels (x, y, z).
        rng: source of randomness.
        held_out: says of [points, 3] indices which ones, [points], to leave out; None draws from all.

    Returns:
        [count, 3] voxel indices.
    """
    kept = np.empty((0, 3), dtype=np.int64)
    while len(kept) < count:
        index = np.stack([rng.randint(0, n, count) for n in shape], axis=1)
        kept = np.concatenate([kept, index if held_out is None else index[~held_out(index)]])
    return kept[:count]


def draw_neighbours(count: int, shape: Sequence[int], rng: np.random.RandomState) -> np.ndarray:
    """Draws pairs of neighbouring voxels uniformly, with replacement.

    Args:
        count: number of voxels, twice that of pairs.
        shape: voxels (x, y, z), more than one along an axis at least.
        rng: source of randomness.

    Returns:
        [count, 3] voxel indices; those of the second half are one voxel further along x, y or z than the first half's.
    """
    size = np.asarray(shape)
    along = rng.choice(np.flatnonzero(size > 1), count // 2)
    step = np.eye(3, dtype=np.int64)[along]
    first = rng.randint(0, size - step)
    return np.concatenate([first, first + step])

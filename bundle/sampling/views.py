"""Hybrid view sampling (HyViP, DeepSparse section 3.3 and equation 8)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bundle.errors import InputError
from bundle.optional import require

__all__ = ["ViewSet", "angular_distance", "hybrid_views", "matched_views", "uniform_views"]


_DECIMALS = 5  # of distances in rad


@dataclass(frozen=True)
class ViewSet:
    """Views of one training item.

    Args:
        views: [views] candidate indices, the sparse ones first.
        sparse_mask: [views] true for the sparse ones.
    """

    views: np.ndarray
    sparse_mask: np.ndarray


def uniform_views(count: int, candidates: int, offset: float = 0.0) -> np.ndarray:
    """Equally spaced views out of equally spaced candidates.

    Args:
        count: number of views.
        candidates: number of candidates.
        offset: start of the spacing as a fraction of it, in [0, 1).

    Returns:
        [count] increasing, distinct candidate indices.

    Raises:
        InputError: when more views are asked for than exist.
    """
    if not 1 <= count <= candidates:
        raise InputError(
            "number of views",
            f"is {count} where {candidates} candidate views exist.",
            "Ask for fewer, but at least one.",
        )
    spacing = candidates / count
    return np.minimum((spacing * (np.arange(count) + offset)).astype(np.int64), candidates - 1)


def angular_distance(a_rad: np.ndarray, b_rad: np.ndarray, full_turn: bool) -> np.ndarray:
    """[a, b] distances between angles, around the circle on a full turn."""
    distance = np.abs(a_rad[:, None] - b_rad[None, :])
    return np.minimum(distance, 2 * np.pi - distance) if full_turn else distance


def matched_views(sparse_rad: np.ndarray, dense_rad: np.ndarray, full_turn: bool) -> np.ndarray:
    """Assigns every sparse view a dense view of its own, with the least total angular distance.

    Args:
        sparse_rad: [m] angles.
        dense_rad: [M >= m] angles.
        full_turn: whether angles wrap around.

    Returns:
        [m] indices of the assigned dense views.
    """
    optimize = require("scipy.optimize", "scipy", "sampling auxiliary views")
    distance = angular_distance(sparse_rad, dense_rad, full_turn)
    # Several assignments often cost the same; stored angles, in single precision, must not choose another one.
    return optimize.linear_sum_assignment(np.round(distance, _DECIMALS))[1]


def hybrid_views(
    num_sparse: int,
    num_total: int | None,
    candidate_rad: np.ndarray,
    full_turn: bool,
    rng: np.random.RandomState | None = None,
) -> ViewSet:
    """Draws sparse views and, where asked for, the auxiliary views that complete them to a dense set.

    The dense views nearest to the sparse ones, by the optimal one-to-one assignment, are replaced by them.

    Args:
        num_sparse: number m of sparse views.
        num_total: number of all views, or None for the sparse ones alone.
        candidate_rad: [candidates] equally spaced angles.
        full_turn: whether angles wrap around.
        rng: source of the two random offsets; none for offsets of zero.

    Returns:
        The views, all distinct, the sparse ones first.

    Raises:
        InputError: when more views are asked for than exist, or fewer in total than sparse ones.
    """
    offsets = (0.0, 0.0) if rng is None else (rng.uniform(), rng.uniform())
    sparse = uniform_views(num_sparse, len(candidate_rad), offsets[0])
    if num_total is None:
        return ViewSet(sparse, np.ones(num_sparse, dtype=bool))
    if not np.isfinite(candidate_rad).all():
        raise InputError("angles_rad", "are unknown.", "Auxiliary views need the gantry angle of every stored view.")
    if num_total < num_sparse:
        raise InputError("num_total", f"is {num_total}, below num_sparse = {num_sparse}.", "Ask for at least as many.")
    dense = uniform_views(num_total, len(candidate_rad), offsets[1])
    dropped = matched_views(candidate_rad[sparse], candidate_rad[dense], full_turn)
    auxiliary = np.delete(dense, dropped)
    return ViewSet(np.concatenate([sparse, auxiliary]), np.arange(num_total) < num_sparse)

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.errors import InputError
from bundle.sampling.views import _DECIMALS, angular_distance, hybrid_views, matched_views, uniform_views


@settings(max_examples=200, deadline=None)
@given(
    candidates=st.integers(24, 200),
    total=st.integers(6, 24),
    data=st.data(),
    full_turn=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_properties(candidates, total, data, full_turn, seed):
    """Distinct views, as many as asked for, the sparse ones first and equally spaced; the same for the same seed."""
    sparse = data.draw(st.integers(1, total))
    angles = np.arange(candidates) * (2 * np.pi if full_turn else np.pi) / candidates
    draw = [hybrid_views(sparse, total, angles, full_turn, np.random.RandomState(seed)) for _ in range(2)]
    views, mask = draw[0].views, draw[0].sparse_mask
    assert np.array_equal(views, draw[1].views)
    assert len(views) == len(set(views.tolist())) == total
    assert views.min() >= 0
    assert views.max() < candidates
    assert mask.tolist() == [True] * sparse + [False] * (total - sparse)
    gaps = np.diff(views[:sparse])
    assert sparse == 1 or (gaps.max() - gaps.min() <= 1 and gaps.min() >= 1)


@settings(max_examples=60, deadline=None)
@given(
    sparse=st.lists(st.floats(0, 6.28), min_size=1, max_size=4),
    dense=st.lists(st.floats(0, 6.28), min_size=4, max_size=6),
    full_turn=st.booleans(),
)
def test_assignment_is_optimal(sparse, dense, full_turn):
    cost = np.round(angular_distance(np.array(sparse), np.array(dense), full_turn), _DECIMALS)
    found = matched_views(np.array(sparse), np.array(dense), full_turn)
    best = min(
        sum(cost[i, j] for i, j in enumerate(choice))
        for choice in itertools.permutations(range(len(dense)), len(sparse))
    )
    assert len(set(found.tolist())) == len(sparse)
    assert sum(cost[i, j] for i, j in enumerate(found)) == pytest.approx(best, abs=1e-9)


def test_greedy_assignment_would_be_worse():
    """Nearest-first takes 1.0 for 0.9 and leaves 3.0 for 1.1; the optimum pairs in order."""
    cost = angular_distance(np.array([0.9, 1.05]), np.array([1.0, 0.0]), False)
    found = matched_views(np.array([0.9, 1.05]), np.array([1.0, 0.0]), False)
    assert found.tolist() == [1, 0]
    assert cost[0, 1] + cost[1, 0] < cost[0, 0] + cost[1, 1]


def test_full_turn_wraps_around():
    nearly_full = 2 * np.pi - 0.01
    assert matched_views(np.array([0.0]), np.array([1.0, nearly_full]), True).tolist() == [1]
    assert matched_views(np.array([0.0]), np.array([1.0, nearly_full]), False).tolist() == [0]


def test_sparse_alone_without_offset():
    chosen = hybrid_views(6, None, np.arange(200) * np.pi / 200, False)
    assert chosen.views.tolist() == [0, 33, 66, 100, 133, 166]
    assert chosen.sparse_mask.all()


def test_all_views_sparse_leaves_no_auxiliary():
    chosen = hybrid_views(24, 24, np.arange(200) * np.pi / 200, False, np.random.RandomState(0))
    assert chosen.sparse_mask.all()


@pytest.mark.parametrize("seed", range(5))
def test_dense_views_nearest_to_the_sparse_ones_are_left_out(seed):
    """Of all choices of dense views to drop, the one with the least total distance to the sparse views is dropped."""
    angles = np.arange(60) * np.pi / 60
    offsets = np.random.RandomState(seed).uniform(size=2)
    chosen = hybrid_views(3, 8, angles, False, np.random.RandomState(seed))
    sparse, dense = uniform_views(3, 60, offsets[0]), uniform_views(8, 60, offsets[1])
    assert chosen.views[:3].tolist() == sparse.tolist()
    dropped = sorted(set(dense.tolist()) - set(chosen.views[3:].tolist()))

    def distance(some) -> float:
        cost = angular_distance(angles[sparse], angles[list(some)], False)
        return min(sum(cost[i, j] for i, j in enumerate(order)) for order in itertools.permutations(range(3)))

    assert distance(dropped) == pytest.approx(min(distance(c) for c in itertools.combinations(dense.tolist(), 3)))


@pytest.mark.parametrize("count", [0, 11])
def test_more_views_than_exist(count):
    with pytest.raises(InputError, match="10 candidate"):
        uniform_views(count, 10)


def test_fewer_in_total_than_sparse():
    with pytest.raises(InputError, match="num_total"):
        hybrid_views(8, 6, np.arange(50) * 0.1, False)

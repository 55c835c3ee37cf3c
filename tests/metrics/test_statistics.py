from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from scipy import stats

from bundle.metrics import bootstrap_interval, paired_test


def signed_rank_p(differences) -> float:
    """The exact two-sided p of the signed-rank statistic, over all signs."""
    differences = np.array([d for d in differences if d])
    ranks = stats.rankdata(np.abs(differences))
    middle = ranks.sum() / 2
    seen = abs(ranks[differences > 0].sum() - middle)
    signs = np.array(list(itertools.product((0, 1), repeat=len(ranks))))
    return float(np.mean(np.abs(signs @ ranks - middle) >= seen - 1e-9))


def test_interval_is_near_the_normal_one_for_many_values():
    values = np.random.RandomState(0).normal(5.0, 2.0, 200)
    low, high = bootstrap_interval(values)
    margin = stats.t.ppf(0.975, 199) * values.std(ddof=1) / np.sqrt(200)
    assert low == pytest.approx(values.mean() - margin, abs=0.1 * margin)
    assert high == pytest.approx(values.mean() + margin, abs=0.1 * margin)


def test_interval_leans_towards_the_long_tail():
    values = np.random.RandomState(1).exponential(size=30)
    low, high = bootstrap_interval(values)
    assert high - values.mean() > 1.1 * (values.mean() - low)


def test_interval_covers_the_mean_about_as_often_as_it_says():
    rng = np.random.RandomState(2)
    intervals = [bootstrap_interval(rng.exponential(size=20)) for _ in range(200)]
    assert 0.85 < np.mean([low <= 1.0 <= high for low, high in intervals]) < 0.99


def test_interval_of_few_and_of_equal_values():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert bootstrap_interval([]) is None
        assert bootstrap_interval([0.9]) is None
        assert bootstrap_interval([0.9, 0.9, 0.9]) == (0.9, 0.9)
        assert bootstrap_interval([0.9, 0.96]) == (0.9, 0.96)  # where BCa has no acceleration
        low, high = bootstrap_interval([0.0, 0.0, 0.0, 1.0])
    assert (low, high) == (0.0, pytest.approx(0.75))


def test_interval_is_the_same_for_a_seed():
    values = np.random.RandomState(3).rand(9)
    assert bootstrap_interval(values, seed=4) == bootstrap_interval(values, seed=4)
    assert bootstrap_interval(values, seed=4) != bootstrap_interval(values, seed=5)


@pytest.mark.parametrize(
    "differences",
    [
        [1, 2, 3, 4, 5, 6],
        [-1, 2, 3, 4, -5, 6, 7],
        [1, 1, 2, 2, -2, 3, 3, 3],
        [0, 0, 1, -2, 3, 4, 5, 6],
        [0, 1, 1, 1, 1, 1, 1, -1],
    ],
)
def test_small_samples_are_exact(differences):
    second = np.arange(len(differences)) / 7
    found = paired_test(second + np.array(differences) / 10, second)
    assert found.p_value == pytest.approx(signed_rank_p(differences))
    assert found.test == "Wilcoxon signed-rank, exact"
    assert paired_test(second, second + np.array(differences) / 10).p_value == pytest.approx(found.p_value)


def test_large_samples_with_ties_are_normal():
    differences = np.round(np.random.RandomState(0).normal(0.3, 1.0, 40), 1)
    found = paired_test(differences, np.zeros(40))
    assert found.test == "Wilcoxon signed-rank, normal approximation"
    assert 1e-4 < found.p_value < 0.05
    kept = differences[differences != 0]
    assert found.p_value == pytest.approx(stats.wilcoxon(kept, method="asymptotic").pvalue)


@pytest.mark.parametrize(
    ("differences", "why"),
    [
        ([], "none: only 0 pairs, 6 are needed"),
        ([1], "none: only 1 pair, 6 are needed"),
        ([0], "none: only 0 of 1 pair differs, 6 are needed"),
        ([1, 2, 3, 4, 5], "none: only 5 pairs, 6 are needed"),
        ([1, 2, 3, 4, 5, 0, 0, 0], "none: only 5 of 8 pairs differ, 6 are needed"),
        ([0] * 9, "none: only 0 of 9 pairs differ, 6 are needed"),
    ],
)
def test_too_few_to_tell(differences, why):
    found = paired_test(differences, [0] * len(differences))
    assert found.p_value is None
    assert found.test == why


def test_unequal_numbers_of_figures():
    with pytest.raises(ValueError, match="7 figures cannot be paired with 6"):
        paired_test(range(7), range(6))

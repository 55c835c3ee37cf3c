from __future__ import annotations

import numpy as np
import pytest

from bundle.metrics import bland_altman

# Peak expiratory flow in l/min of 17 people by two meters, from Bland and Altman 1986.
WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


def test_published_example():
    """Their bias, standard deviation and interval of the bias; their limits use 2 for 1.96, and a simpler error."""
    found = bland_altman(WRIGHT, MINI)
    assert found.n == 17
    assert found.bias == pytest.approx(-2.1, abs=0.05)
    assert found.deviation == pytest.approx(38.8, abs=0.05)
    assert found.limits == pytest.approx((-2.1 - 1.96 * 38.8, -2.1 + 1.96 * 38.8), abs=0.1)
    assert found.bias_interval == pytest.approx((-22.0, 17.8), abs=0.1)
    for (low, high), limit in zip((found.lower_interval, found.upper_interval), found.limits):
        assert (low + high) / 2 == pytest.approx(limit)
        assert (high - low) / 2 == pytest.approx(34.6, rel=0.01)


def test_swapping_turns_all_signs():
    found, swapped = bland_altman(WRIGHT, MINI), bland_altman(MINI, WRIGHT)
    assert swapped.bias == pytest.approx(-found.bias)
    assert swapped.limits == pytest.approx(tuple(-end for end in found.limits[::-1]))
    assert swapped.upper_interval == pytest.approx(tuple(-end for end in found.lower_interval[::-1]))


def test_intervals_cover_the_truth_as_often_as_they_say():
    rng = np.random.RandomState(0)
    bias, deviation, n = 4.0, 3.0, 15
    hits = []
    for _ in range(600):
        reference = rng.uniform(100, 900, n)
        found = bland_altman(reference + rng.normal(bias, deviation, n), reference)
        truths = (bias, bias - 1.96 * deviation, bias + 1.96 * deviation)
        intervals = (found.bias_interval, found.lower_interval, found.upper_interval)
        hits.append([low <= truth <= high for truth, (low, high) in zip(truths, intervals)])
    shares = np.mean(hits, axis=0)
    assert (shares > 0.92).all()
    assert (shares < 0.98).all()


def test_few_pairs():
    nothing, one, two = bland_altman([], []), bland_altman([5.0], [3.0]), bland_altman([5.0, 4.0], [3.0, 4.0])
    assert (nothing.n, nothing.bias, nothing.limits) == (0, None, None)
    assert (one.n, one.bias, one.deviation, one.limits, one.bias_interval) == (1, 2.0, None, None, None)
    assert (two.n, two.bias, two.deviation) == (2, 1.0, pytest.approx(np.sqrt(2)))
    assert two.lower_interval[0] < two.limits[0] < two.bias < two.limits[1] < two.upper_interval[1]


def test_unequal_numbers():
    with pytest.raises(ValueError, match="2 measurements cannot be paired with 1"):
        bland_altman([1.0, 2.0], [1.0])

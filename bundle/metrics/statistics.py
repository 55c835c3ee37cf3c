"""Uncertainty of means, and tests between methods on the same cases."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bundle.optional import require

__all__ = ["CONFIDENCE", "SMALLEST_SAMPLE", "PairedTest", "bootstrap_interval", "paired_test"]

CONFIDENCE = 0.95
"""Level of every interval."""

SMALLEST_SAMPLE = 6
"""Pairs that differ, below which the signed-rank test cannot reach p = 0.05: with n of them, p is at least 2 / 2^n."""

_MOST_EXACT = 50  # pairs up to which the exact distribution is cheap; the normal one is good far below
_MOST_EXACT_WITH_TIES = 13  # where all 2^n signs are tried
_DECIMALS = 9  # differences that are equal but for rounding are ties


@dataclass(frozen=True)
class PairedTest:
    """Result of a paired test.

    Args:
        p_value: two-sided; None where the test cannot say anything.
        test: what was computed, or why nothing was.
    """

    p_value: float | None
    test: str


def bootstrap_interval(values: Sequence[float] | np.ndarray, seed: int = 0) -> tuple[float, float] | None:
    """The 95 % bootstrap interval of a mean.

    It is bias-corrected and accelerated (BCa; Efron, "Better bootstrap confidence intervals", Journal of the American
    Statistical Association 82, 1987) or, where that is undefined, made of percentiles.

    Args:
        values: [n] finite numbers, such as one figure of every case, or differences of paired figures.
        seed: of the resampling.

    Returns:
        Lower and upper end; None for fewer than two values, which say nothing of their spread.
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) < 2:
        return None
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    stats = require("scipy.stats", "scipy", "confidence intervals")
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
            warnings.simplefilter("ignore", stats.DegenerateDataWarning)
            low, high = stats.bootstrap(
                (values,), np.mean, confidence_level=CONFIDENCE, method=method, rng=np.random.default_rng(seed)
            ).confidence_interval
        if np.isfinite([low, high]).all():
            break
    return float(low), float(high)


def paired_test(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray) -> PairedTest:
    """Wilcoxon's signed-rank test of two methods on the same cases.

    Equal pairs are left out, and equal differences share their ranks. The distribution is exact for up to 50 pairs, or
    13 with shared ranks, and normal beyond.

    Args:
        first: [n] figures of one method.
        second: [n] figures of the other, of the same cases in the same order.

    Returns:
        The test.

    Raises:
        ValueError: when there are not as many figures of both.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} figures cannot be paired with {len(second)}.")
    differences = np.round(np.subtract(first, second, dtype=np.float64), _DECIMALS)
    differences = differences[differences != 0]
    count = len(differences)
    if count < SMALLEST_SAMPLE:
        pairs = "pair" if len(first) == 1 else "pairs"
        if count < len(first):
            why = f"only {count} of {len(first)} {pairs} {'differs' if len(first) == 1 else 'differ'}"
        else:
            why = f"only {count} {pairs}"
        return PairedTest(None, f"none: {why}, {SMALLEST_SAMPLE} are needed")
    stats = require("scipy.stats", "scipy", "paired tests")
    has_ties = len(np.unique(np.abs(differences))) < count
    name = "exact"
    if not has_ties and count <= _MOST_EXACT:
        method: object = "exact"
    elif count <= _MOST_EXACT_WITH_TIES:
        method = stats.PermutationMethod(n_resamples=2**count)
    else:
        method, name = "asymptotic", "normal approximation"
    p_value = float(stats.wilcoxon(differences, method=method).pvalue)
    return PairedTest(p_value, f"Wilcoxon signed-rank, {name}")

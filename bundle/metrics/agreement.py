"""Agreement of two ways to measure the same thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bundle.metrics.statistics import CONFIDENCE
from bundle.optional import require

__all__ = ["Agreement", "bland_altman"]

_Interval = tuple[float, float]


@dataclass(frozen=True)
class Agreement:
    """Bland-Altman figures, in the unit of the measurements.

    Args:
        n: pairs.
        bias: mean of measured - reference; None without pairs.
        deviation: standard deviation of the differences, with n - 1; this and all below None for fewer than two pairs.
        limits: 95 % limits of agreement, between which 95 % of further differences are expected.
        bias_interval: 95 % confidence interval of the bias.
        lower_interval: that of the lower limit.
        upper_interval: that of the upper limit.
    """

    n: int
    bias: float | None = None
    deviation: float | None = None
    limits: _Interval | None = None
    bias_interval: _Interval | None = None
    lower_interval: _Interval | None = None
    upper_interval: _Interval | None = None


def bland_altman(measured: Sequence[float] | np.ndarray, reference: Sequence[float] | np.ndarray) -> Agreement:
    """Bias and limits of agreement, with their uncertainty.

    With the differences' mean d and standard deviation s the limits are d +- z s, z = 1.96. Their standard error is
    s sqrt(1/n + z^2 / (2 (n - 1))), that of the bias s / sqrt(n); intervals use the t distribution with n - 1 degrees
    of freedom. Bland and Altman, "Statistical methods for assessing agreement between two methods of clinical
    measurement", Lancet 327, 1986; the limits' error from "Measuring agreement in method comparison studies",
    Statistical Methods in Medical Research 8, 1999. It presumes differences that do not grow with what is measured.

    Args:
        measured: [n] measurements.
        reference: [n] measurements of the same things by the other way.

    Returns:
        The figures.

    Raises:
        ValueError: when there are not as many measurements of both.
    """
    if len(measured) != len(reference):
        raise ValueError(f"{len(measured)} measurements cannot be paired with {len(reference)}.")
    differences = np.subtract(measured, reference, dtype=np.float64)
    n = len(differences)
    if n < 2:
        return Agreement(n, float(differences[0]) if n else None)
    stats = require("scipy.stats", "scipy", "limits of agreement")
    z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
    t = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1))
    bias, deviation = float(differences.mean()), float(differences.std(ddof=1))
    lower, upper = bias - z * deviation, bias + z * deviation
    bias_margin = t * deviation / np.sqrt(n)
    limit_margin = t * deviation * np.sqrt(1 / n + z**2 / (2 * (n - 1)))
    return Agreement(
        n,
        bias,
        deviation,
        (lower, upper),
        _around(bias, bias_margin),
        _around(lower, limit_margin),
        _around(upper, limit_margin),
    )


def _around(value: float, margin: float) -> _Interval:
    return float(value - margin), float(value + margin)

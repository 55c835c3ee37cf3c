"""The methods' means of a metric, and which is the best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bundle.metrics.catalogue import Metric
from bundle.report.numbers import UNDEFINED, counted, number, told, whole
from bundle.report.selection import Selection

__all__ = ["Mean", "best_methods", "method_means"]


@dataclass(frozen=True)
class Mean:
    """A metric's mean over one method's cases.

    Args:
        finite: mean of the finite values; None if there are none.
        low: lower end of its interval; None if it has none.
        high: upper end of its interval.
        infinite: cases with an infinite value, as the PSNR of equal volumes.
        undefined: cases without a value.
        n: cases with a value.
        cases: those that any method was tried on.
    """

    finite: float | None
    low: float | None
    high: float | None
    infinite: int
    undefined: int
    n: int
    cases: int

    @property
    def value(self) -> float | None:
        """The mean of all values."""
        return math.inf if self.infinite else self.finite

    @property
    def missing(self) -> int:
        """Cases without a value, whether undefined or not tried."""
        return max(self.cases - self.n, 0)

    def notes(self) -> list[str]:
        """What must not be overlooked: undefined and infinite values, and cases that the method was not tried on."""
        notes = [f"{self.undefined} {UNDEFINED}"] if self.undefined and self.n else []
        if self.infinite:
            notes.append(f"∞ in {self.infinite} of {counted(self.n, 'case')}")
        tried = self.n + self.undefined
        return notes + ([f"in {tried} of {counted(self.cases, 'case')}"] if tried < self.cases else [])


def method_means(
    selection: Selection, metric: Metric, views: int, reference: str, structure: str
) -> dict[str, Mean | None]:
    """Every method's mean without perturbations, None where there is none; image quality has no structure."""
    if not structure:
        reference = ""
    means: dict[str, Mean | None] = {}
    for method in selection.methods:
        row = selection.summary(metric.key, views, method, reference, structure)
        if row is None:
            means[method] = None
            continue
        cases = selection.cases(views, method, reference, structure)
        infinite = sum(number(case[metric.key]) == math.inf for case in cases)
        means[method] = Mean(
            number(row["mean"]),
            number(row["low"]),
            number(row["high"]),
            infinite=infinite,
            undefined=max(whole(row["undefined"]) - infinite, 0),
            n=whole(row["n"]) + infinite,
            cases=selection.case_count(views),
        )
    return means


def best_methods(means: Mapping[str, Mean | None], metric: Metric) -> list[str]:
    """The methods with the best mean as told, among those that lack the fewest cases: to leave some out is no merit."""
    known = {name: mean for name, mean in means.items() if mean is not None and mean.value is not None}
    fewest = min((mean.missing for mean in known.values()), default=0)
    values = {name: mean.value for name, mean in known.items() if mean.missing == fewest and mean.value is not None}
    if not values:
        return []
    best = told(metric.best(values.values()), metric.decimals)
    return [name for name, value in values.items() if told(value, metric.decimals) == best]

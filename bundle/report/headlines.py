"""The report's first lines: what came out, in plain words."""

from __future__ import annotations

from bundle.metrics.catalogue import DICE, PSNR, Metric
from bundle.report.means import Mean, best_methods, method_means
from bundle.report.numbers import counted, told, told_interval
from bundle.report.selection import Selection

__all__ = ["headlines"]

_MOST_NAMED = 3  # structures that a sentence can carry


def headlines(selection: Selection) -> list[tuple[str, str]]:
    """For each number of views a sentence: the method in focus against the best of the others."""
    return [(counted(views, "view"), _headline(selection, views)) for views in selection.views]


def _headline(selection: Selection, views: int) -> str:
    parts = []
    reference = next(iter(selection.references), "")
    named = selection.lowest_structures(reference, _MOST_NAMED)
    for structure in named:
        parts.append(f"{structure} Dice {_compared(selection, DICE, views, reference, structure)}")
    others = len(selection.structures(reference)) - len(named)
    if others:
        parts.append(f"{counted(others, 'structure')} with higher Dice in the tables")
    parts.append(f"PSNR {_compared(selection, PSNR, views, '', '')}")
    return "; ".join(parts) + "."


def _compared(selection: Selection, metric: Metric, views: int, reference: str, structure: str) -> str:
    """The first method's mean, with its interval, and the best mean among the others."""
    means = method_means(selection, metric, views, reference, structure)
    first, *others = selection.methods
    text = f"{_told_mean(means[first], metric)} with {first}"
    best = best_methods({method: means[method] for method in others}, metric)
    if best:
        among = ", the best of the others" if len(others) > 1 else ""
        text += f", {_told_mean(means[best[0]], metric, interval=False)} with {best[0]}{among}"
    return text


def _told_mean(mean: Mean | None, metric: Metric, interval: bool = True) -> str:
    if mean is None:
        return "not evaluated"
    text = told(mean.value, metric.decimals) + (f" {metric.unit}" if metric.unit and mean.value is not None else "")
    span = told_interval(mean.low, mean.high, metric.decimals) if interval and not mean.infinite else ""
    parts = [span] if span else []
    parts += mean.notes()
    return f"{text} ({', '.join(parts)})" if parts else text

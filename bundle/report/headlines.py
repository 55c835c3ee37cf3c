"""The report's first lines: what came out, in plain words."""

from __future__ import annotations

from bundle.report.metrics import DICE, PSNR, Metric
from bundle.report.numbers import number, told, told_interval, whole
from bundle.report.selection import Row, Selection

__all__ = ["headlines"]

_MOST_NAMED = 3  # structures that a sentence can carry


def headlines(selection: Selection) -> list[tuple[str, str]]:
    """For each number of views a sentence: the method in focus against the best of the others."""
    return [(f"{views} views", _headline(selection, views)) for views in selection.views]


def _headline(selection: Selection, views: int) -> str:
    parts = []
    reference = next(iter(selection.references), "")
    structures = selection.structures(reference)
    for structure in structures[:_MOST_NAMED]:
        parts.append(f"{structure} Dice {_compared(selection, DICE, views, reference, structure, 2)}")
    if len(structures) > _MOST_NAMED:
        parts.append(f"{len(structures) - _MOST_NAMED} more structures in the tables")
    parts.append(f"PSNR {_compared(selection, PSNR, views, '', '', 1)}")
    return "; ".join(parts) + "."


def _compared(selection: Selection, metric: Metric, views: int, reference: str, structure: str, decimals: int) -> str:
    """The first method's mean, with its interval, and the best mean among the others."""
    rows = {method: selection.summary(metric.key, views, method, reference, structure) for method in selection.methods}
    first, others = selection.methods[0], selection.methods[1:]
    text = f"{_told_mean(rows[first], metric, decimals)} with {first}"
    means = {method: number(row["mean"]) for method in others if (row := rows[method]) is not None}
    known = {method: mean for method, mean in means.items() if mean is not None}
    if known:
        best = (max if metric.more_is_better else min)(known, key=lambda method: known[method])
        among = ", the best of the others" if len(others) > 1 else ""
        text += f", {_told_mean(rows[best], metric, decimals, interval=False)} with {best}{among}"
    return text


def _told_mean(row: Row | None, metric: Metric, decimals: int, interval: bool = True) -> str:
    if row is None:
        return "not evaluated"
    unit = f" {metric.unit}" if metric.unit else ""
    text = told(number(row["mean"]), decimals) + (unit if number(row["mean"]) is not None else "")
    span = told_interval(number(row["low"]), number(row["high"]), decimals) if interval else ""
    undefined = whole(row["undefined"])
    parts = ([span] if span else []) + ([f"{undefined} undefined"] if undefined else [])
    return f"{text} ({', '.join(parts)})" if parts else text

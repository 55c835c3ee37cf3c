"""How much the figures change when the scan is perturbed, over the same cases."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bundle.metrics.catalogue import DICE, PSNR, Metric
from bundle.metrics.statistics import bootstrap_interval
from bundle.report.levels import Level, mild_to_strong, told_amount
from bundle.report.numbers import UNDEFINED, counted, number, told, whole
from bundle.report.selection import NO_PERTURBATION, Selection, is_unperturbed
from bundle.report.tables import Cell, Table

__all__ = ["Change", "Experiment", "change_table", "experiments"]


@dataclass(frozen=True)
class Change:
    """A metric with and without a perturbation, over the cases that are finite with both.

    Args:
        before: mean without it.
        after: mean with it.
        interval: 95 % interval of the mean with it; None for a single case.
        n: cases.
        undefined: further cases, of which it is finite without the perturbation alone.
    """

    before: float
    after: float
    interval: tuple[float, float] | None
    n: int
    undefined: int


@dataclass(frozen=True)
class Experiment:
    """What a perturbation does at one number of views.

    Args:
        name: the perturbation.
        views: number of views.
        levels: its levels and their units, from mild to strong.
        changes: by metric, reference and structure, and by method: the change at each level, None where no case is
            finite both with it and without. There is one at least.
    """

    name: str
    views: int
    levels: list[Level]
    changes: dict[tuple[Metric, str, str], dict[str, list[Change | None]]]

    @property
    def heading(self) -> str:
        """The perturbation and the number of views in words."""
        return f"{self.name.replace('_', ' ')}, {counted(self.views, 'view')}"


def experiments(selection: Selection) -> Iterator[Experiment]:
    """The perturbations and the numbers of views that they were tried with: PSNR and Dice of the plotted structures."""
    rows = [row for row in [*selection.findings.quality, *selection.findings.structures] if not is_unperturbed(row)]
    levels: dict[str, dict[int, set[Level]]] = {}
    for row in rows:
        of_views = levels.setdefault(row["perturbation"], {}).setdefault(whole(row["views"]), set())
        of_views.add((number(row["level"]), row["unit"] or ""))
    reference = next(iter(selection.references), "")
    shown = [(PSNR, "", ""), *((DICE, reference, name) for name in selection.lowest_structures(reference))]
    for name, by_views in levels.items():
        for views, found in sorted(by_views.items()):
            ordered = mild_to_strong(name, found)
            changes = {}
            for key in shown:
                by_method = {
                    method: [_change(selection, *key, (name, level), views, method) for level, _ in ordered]
                    for method in selection.methods
                }
                changes[key] = {method: every for method, every in by_method.items() if any(every)}
            yield Experiment(name, views, ordered, {key: found for key, found in changes.items() if found})


def _change(
    selection: Selection,
    metric: Metric,
    reference: str,
    structure: str,
    perturbed: tuple[str, float | None],
    views: int,
    method: str,
) -> Change | None:
    before, after = (
        {
            row["case"]: value
            for row in selection.cases(views, method, reference, structure, scan)
            if (value := number(row[metric.key])) is None or math.isfinite(value)
        }
        for scan in (NO_PERTURBATION, perturbed)
    )
    tried = [(first, value) for case, value in after.items() if (first := before.get(case)) is not None]
    both = [(first, value) for first, value in tried if value is not None]
    if not both:
        return None
    values = [value for _, value in both]
    summary = selection.summary(metric.key, views, method, reference, structure, perturbed)
    if summary is not None and whole(summary["n"]) == sum(value is not None for value in after.values()) == len(both):
        low, high = number(summary["low"]), number(summary["high"])  # of just these cases
        interval = None if low is None or high is None else (low, high)
    else:
        interval = bootstrap_interval(values)
    mean = float(np.mean(values))
    return Change(float(np.mean([first for first, _ in both])), mean, interval, len(both), len(tried) - len(both))


def change_table(experiment: Experiment) -> Table:
    """Each method's means without the perturbation and at every level, with what they gained or lost."""
    rows = []
    for (metric, _, structure), by_method in experiment.changes.items():
        for method, changes in by_method.items():
            before = list(dict.fromkeys(told(one.before, metric.decimals) for one in changes if one is not None))
            cells = [_changed(found, metric, len(before) > 1) for found in changes]
            headings = [f"{structure} {metric.label}".strip(), method]
            rows.append((headings, [Cell(before[0] if len(before) == 1 else "varies"), *cells]))
    return Table(
        caption=f"{experiment.heading}: means, and their change over the same cases",
        corner=["Metric", "Method"],
        head=["without", *(told_amount(*level) or "with" for level in experiment.levels)],
        rows=rows,
    )


def _changed(found: Change | None, metric: Metric, tell_before: bool) -> Cell:
    if found is None:
        return Cell(UNDEFINED)
    before = f" from {told(found.before, metric.decimals)}" if tell_before else ""
    return Cell(
        told(found.after, metric.decimals),
        (f"{told(found.after - found.before, metric.decimals, signed=True)}{before}, n = {found.n}",),
        (f"{found.undefined} {UNDEFINED}",) if found.undefined else (),
    )

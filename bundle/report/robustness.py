"""How much the figures change when the scan is perturbed, over the same cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bundle.report.metrics import DICE, PSNR, Metric
from bundle.report.numbers import UNDEFINED, number, told, whole
from bundle.report.selection import UNPERTURBED, Row, Selection, is_unperturbed
from bundle.report.tables import Cell, Table

__all__ = ["Change", "change", "change_table", "levels_of", "perturbations", "shown_metrics"]


@dataclass(frozen=True)
class Change:
    """A metric with and without a perturbation.

    Args:
        before: mean without it.
        after: mean with it, over the same cases.
        n: cases in which both are defined.
        undefined: cases in which it is defined without the perturbation alone.
    """

    before: float
    after: float
    n: int
    undefined: int


def perturbations(selection: Selection) -> dict[str, list[int]]:
    """Names of the perturbations and the numbers of views that they were tried with."""
    rows = [row for row in _rows(selection) if not is_unperturbed(row)]
    names = dict.fromkeys(row["perturbation"] for row in rows)
    return {name: sorted({whole(row["views"]) for row in rows if row["perturbation"] == name}) for name in names}


def levels_of(selection: Selection, name: str, views: int) -> list[tuple[float | None, str]]:
    """Levels of a perturbation and their units, from little to much."""
    found = {
        (number(row["level"]), row["unit"] or "")
        for row in _rows(selection)
        if row["perturbation"] == name and whole(row["views"]) == views
    }
    return sorted(found, key=lambda level: (level[0] is not None, level[0] or 0.0, level[1]))


def shown_metrics(selection: Selection) -> list[tuple[Metric, str, str]]:
    """PSNR, and the Dice of the structures against the first reference: metric, reference and structure."""
    reference = next(iter(selection.references), "")
    return [(PSNR, "", "")] + [(DICE, reference, name) for name in selection.plotted_structures(reference)]


def change(
    selection: Selection,
    metric: Metric,
    reference: str,
    structure: str,
    perturbed: tuple[str, float | None],
    views: int,
    method: str,
) -> Change | None:
    """What a perturbation does to a metric's mean; None where no case is defined both with it and without."""
    before, after = (
        {row["case"]: number(row[metric.key]) for row in selection.cases(views, method, reference, structure, scan)}
        for scan in (UNPERTURBED, perturbed)
    )
    tried = [case for case in after if before.get(case) is not None]
    both = [case for case in tried if after[case] is not None]
    if not both:
        return None
    return Change(
        float(np.mean([before[case] for case in both])),
        float(np.mean([after[case] for case in both])),
        len(both),
        len(tried) - len(both),
    )


def change_table(selection: Selection, name: str, views: int) -> Table:
    """Each method's means without the perturbation and at every level, with what they gained or lost."""
    levels = levels_of(selection, name, views)
    rows = []
    for metric, reference, structure in shown_metrics(selection):
        for method in selection.methods:
            changes = [
                change(selection, metric, reference, structure, (name, level), views, method) for level, _ in levels
            ]
            known = [found for found in changes if found is not None]
            if known:
                before = [told(found.before, metric.decimals) for found in known]
                cells = [_changed(found, metric, len(set(before)) > 1) for found in changes]
                headings = [f"{structure} {metric.label}".strip(), method]
                rows.append((headings, [Cell(before[0] if len(set(before)) == 1 else "varies"), *cells]))
    return Table(
        caption=f"{name.replace('_', ' ')}, {views} views: means, and their change over the same cases",
        corner=["Metric", "Method"],
        head=["without", *("with" if level is None else f"{level:g} {unit}".strip() for level, unit in levels)],
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


def _rows(selection: Selection) -> list[Row]:
    return [*selection.findings.quality, *selection.findings.structures]

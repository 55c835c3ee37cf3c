"""The tables of results: methods by metrics."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bundle.metrics.catalogue import DICE, QUALITY, STRUCTURE, Metric
from bundle.report.means import Mean, best_methods, method_means
from bundle.report.numbers import counted, told, told_interval, told_reference
from bundle.report.selection import Selection

__all__ = ["Cell", "Table", "result_tables"]

_MOST_COLUMNS = 10  # that a page of A4 width holds
Groups = list[tuple[str, tuple[Metric, ...]]]  # of columns: a structure, or none for the whole volume, and its metrics


@dataclass(frozen=True)
class Cell:
    """One entry of a table.

    Args:
        text: what stands large.
        details: what stands small below it.
        notes: what must not be overlooked.
        best: whether it is the best of its column.
    """

    text: str
    details: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    best: bool = False


@dataclass(frozen=True)
class Table:
    """A table with row headings.

    Args:
        caption: what it shows.
        corner: headings of the row headings' columns.
        head: headings of the other columns.
        rows: each its headings and its cells.
        groups: names and widths of groups of columns, above their headings.
    """

    caption: str
    corner: list[str]
    head: list[str]
    rows: list[tuple[list[str], list[Cell]]]
    groups: tuple[tuple[str, int], ...] = ()


def result_tables(selection: Selection, views: int) -> list[Table]:
    """Tables of every method's means at one number of views: one for each reference, or more where it is wide."""
    made: list[Table] = []
    for reference in selection.references or [""]:
        structures = selection.structures(reference)
        caption = f"{counted(views, 'view')}, {counted(selection.case_count(views), 'case')}"
        if structures:
            caption += f"; structures compared with {told_reference(reference)}"
        parts = _split([("", QUALITY), *((name, STRUCTURE) for name in structures)])
        for position, part in enumerate(parts, start=1):
            which = f" (part {position} of {len(parts)})" if len(parts) > 1 else ""
            made.append(_result_table(selection, views, reference, part, caption + which))
    return made


def _split(groups: Groups) -> list[Groups]:
    """Groups of columns in tables that are not too wide."""
    parts: list[Groups] = [[]]
    for structure, metrics in groups:
        if parts[-1] and sum(len(those) for _, those in parts[-1]) + len(metrics) > _MOST_COLUMNS:
            parts.append([])
        parts[-1].append((structure, metrics))
    return parts


def _result_table(selection: Selection, views: int, reference: str, groups: Groups, caption: str) -> Table:
    columns: list[list[Cell]] = []
    for structure, metrics in groups:
        for metric in metrics:
            means = method_means(selection, metric, views, reference, structure)
            have = [mean for mean in means.values() if mean is not None and mean.value is not None]
            best = best_methods(means, metric) if len(have) > 1 else []
            cells = [replace(_mean_cell(mean, metric), best=method in best) for method, mean in means.items()]
            if metric is DICE:
                cells = [
                    replace(cell, notes=cell.notes + _not_found(selection, views, method, reference, structure))
                    for cell, method in zip(cells, means)
                ]
            columns.append(cells)
    return Table(
        caption=caption,
        corner=["Method"],
        head=[metric.label for _, metrics in groups for metric in metrics],
        rows=[([method], [column[i] for column in columns]) for i, method in enumerate(selection.methods)],
        groups=tuple((structure or "Image quality", len(metrics)) for structure, metrics in groups),
    )


def _mean_cell(mean: Mean | None, metric: Metric) -> Cell:
    """A mean with its interval below it, and what must be known of its cases."""
    if mean is None:
        return Cell("not evaluated")
    interval = told_interval(mean.low, mean.high, metric.decimals)
    details = f"({interval})" if interval else ""
    if mean.infinite and mean.finite is not None:
        details = f"else {told(mean.finite, metric.decimals)} {details}".strip()
    return Cell(told(mean.value, metric.decimals), (details,) if details else (), tuple(mean.notes()))


def _not_found(selection: Selection, views: int, method: str, reference: str, structure: str) -> tuple[str, ...]:
    """What the segmenter missed or invented in the reconstructions."""
    found = [row["found"] for row in selection.cases(views, method, reference, structure)]
    missed, invented = found.count("reference only"), found.count("reconstruction only")
    notes = (f"missed in {missed} of {len(found)}",) if missed else ()
    return notes + ((f"only in {invented} of {counted(len(found), 'reconstruction')}",) if invented else ())

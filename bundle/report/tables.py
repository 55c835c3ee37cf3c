"""The tables of results: methods by metrics."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bundle.report.metrics import DICE, QUALITY, STRUCTURE, Metric
from bundle.report.numbers import UNDEFINED, number, told, told_interval, whole
from bundle.report.selection import REFERENCES, Row, Selection, is_unperturbed

__all__ = ["Cell", "Table", "result_tables"]

_MOST_COLUMNS = 10  # that a page of A4 width holds


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
        wide = [("Image quality", "", QUALITY), *((name, name, STRUCTURE) for name in structures)]
        against = REFERENCES.get(reference, reference)
        caption = f"{views} views, {_told_count(selection, views)}" + (
            f"; structures compared with {against}" if structures else ""
        )
        parts = _split(wide)
        for position, part in enumerate(parts, start=1):
            which = f" (part {position} of {len(parts)})" if len(parts) > 1 else ""
            made.append(_result_table(selection, views, reference, part, caption + which))
    return made


def _told_count(selection: Selection, views: int) -> str:
    """How many cases there are at a number of views."""
    rows = [*selection.findings.quality, *selection.findings.structures]
    cases = {row["case"] for row in rows if is_unperturbed(row) and whole(row["views"]) == views}
    return f"{len(cases)} case{'' if len(cases) == 1 else 's'}"


def _split(groups: list[tuple[str, str, tuple[Metric, ...]]]) -> list[list[tuple[str, str, tuple[Metric, ...]]]]:
    """Groups of columns in tables that are not too wide."""
    parts: list[list[tuple[str, str, tuple[Metric, ...]]]] = [[]]
    for group in groups:
        if parts[-1] and sum(len(metrics) for _, _, metrics in parts[-1]) + len(group[2]) > _MOST_COLUMNS:
            parts.append([])
        parts[-1].append(group)
    return parts


def _result_table(
    selection: Selection,
    views: int,
    reference: str,
    groups: list[tuple[str, str, tuple[Metric, ...]]],
    caption: str,
) -> Table:
    columns: list[list[Cell]] = []
    for _, structure, metrics in groups:
        for metric in metrics:
            found = [
                selection.summary(metric.key, views, method, reference if structure else "", structure)
                for method in selection.methods
            ]
            cells = [mean_cell(row, metric) for row in found]
            if metric is DICE:
                cells = [
                    replace(cell, notes=cell.notes + _not_found(selection, views, method, reference, structure))
                    for cell, method in zip(cells, selection.methods)
                ]
            columns.append(_mark_best(cells, found, metric))
    return Table(
        caption=caption,
        corner=["Method"],
        head=[metric.label for _, _, metrics in groups for metric in metrics],
        rows=[([method], [column[i] for column in columns]) for i, method in enumerate(selection.methods)],
        groups=tuple((name, len(metrics)) for name, _, metrics in groups),
    )


def mean_cell(row: Row | None, metric: Metric) -> Cell:
    """A mean with its interval below it, and how many values are undefined."""
    if row is None:
        return Cell("not evaluated")
    undefined = whole(row["undefined"])
    interval = told_interval(number(row["low"]), number(row["high"]), metric.decimals)
    return Cell(
        told(number(row["mean"]), metric.decimals),
        (f"({interval})",) if interval else (),
        (f"{undefined} {UNDEFINED}",) if undefined else (),
    )


def _not_found(selection: Selection, views: int, method: str, reference: str, structure: str) -> tuple[str, ...]:
    """What the segmenter missed or invented in the reconstructions."""
    found = [row["found"] for row in selection.cases(views, method, reference, structure)]
    missed, invented = found.count("reference only"), found.count("reconstruction only")
    notes = (f"missed in {missed} of {len(found)}",) if missed else ()
    return notes + ((f"only in {invented} of {len(found)} reconstructions",) if invented else ())


def _mark_best(cells: list[Cell], rows: list[Row | None], metric: Metric) -> list[Cell]:
    """Marks the best mean as told, among those with the fewest undefined values: to leave cases out is no merit."""
    means = [None if row is None else number(row["mean"]) for row in rows]
    undefined = [0 if row is None else whole(row["undefined"]) for row in rows]
    if sum(mean is not None for mean in means) < 2:
        return cells
    fewest = min(count for count, mean in zip(undefined, means) if mean is not None)
    able = [i for i, mean in enumerate(means) if mean is not None and undefined[i] == fewest]
    best = (max if metric.more_is_better else min)(means[i] for i in able)
    return [replace(cell, best=i in able and cell.text == told(best, metric.decimals)) for i, cell in enumerate(cells)]

"""The tables of what is compared case by case: methods with each other, and volumes with the truth's."""

from __future__ import annotations

from collections import Counter

from bundle.metrics.catalogue import METRICS
from bundle.report.numbers import counted, number, told, told_interval, told_p_value, told_reference, whole
from bundle.report.selection import Row, Selection, is_unperturbed
from bundle.report.tables import Cell, Table

__all__ = ["agreement_table", "comparison_tables"]

_NONE = "–"  # noqa: RUF001
_MOST_OTHERS = 4  # columns that a page of A4 width holds
_NO_TEST = "none: "  # how a test begins that was not made, before the reason


def comparison_tables(selection: Selection, views: int) -> list[Table]:
    """Differences over the same cases at one number of views: metrics by the other methods, for each method."""
    found: dict[str, list[Row]] = {}
    for row in selection.findings.comparisons:
        if is_unperturbed(row) and whole(row["views"]) == views:
            found.setdefault(row["method"], []).append(row)
    made = []
    for method, rows in found.items():
        others = list(dict.fromkeys(row["other"] for row in rows))
        parts = [others[start : start + _MOST_OTHERS] for start in range(0, len(others), _MOST_OTHERS)]
        for position, part in enumerate(parts, start=1):
            which = f" (part {position} of {len(parts)})" if len(parts) > 1 else ""
            shown = [row for row in rows if row["other"] in part]
            made.append(_comparison_table(shown, method, part, f"{counted(views, 'view')}{which}"))
    return made


def _comparison_table(rows: list[Row], method: str, others: list[str], which: str) -> Table:
    tests = Counter(_test(row) for row in rows)
    usual = max(tests, key=lambda test: tests[test])
    lines: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in rows:
        structure = row["structure"] or ""
        line = (row["metric"], structure, row["reference"] if structure else "")
        lines.setdefault(line, {})[row["other"]] = row
    told_test = f"no test ({usual.removeprefix(_NO_TEST)})" if usual.startswith(_NO_TEST) else usual
    return Table(
        caption=f"{which}, differences over the same cases; {told_test}{' unless stated' if len(tests) > 1 else ''}",
        corner=["Metric", "Structure", "Compared with"],
        head=[f"{method} minus {other}" for other in others],
        rows=[
            (
                [
                    METRICS[metric].label if metric in METRICS else metric,
                    structure or "whole volume",
                    told_reference(reference) or "the truth",
                ],
                [_compared(compared[other], usual) if other in compared else Cell("not compared") for other in others],
            )
            for (metric, structure, reference), compared in lines.items()
        ],
    )


def _test(row: Row) -> str:
    return str(row["test"] or "") or f"{_NO_TEST}not stated"


def _compared(row: Row, usual_test: str) -> Cell:
    metric = METRICS.get(row["metric"])
    decimals = metric.decimals if metric else 3
    interval = told_interval(number(row["low"]), number(row["high"]), decimals, signed=True)
    p_value, test = number(row["p_value"]), _test(row)
    details = [f"({interval})"] if interval else []
    details.append(", ".join([*([] if p_value is None else [told_p_value(p_value)]), f"n = {whole(row['n'])}"]))
    if test != usual_test:
        details.append(test.removeprefix(_NO_TEST))
    return Cell(told(number(row["difference"]), decimals, signed=True), tuple(details))


def agreement_table(selection: Selection, reference: str) -> Table | None:
    """Bland-Altman figures of the volumes against one reference; None if there are none."""
    rows = [row for row in selection.findings.agreement if is_unperturbed(row) and row["reference"] == reference]
    order = {method: position for position, method in enumerate(selection.methods)}
    structures = selection.structures(reference)
    rows.sort(
        key=lambda row: (
            whole(row["views"]),
            structures.index(row["structure"]) if row["structure"] in structures else len(structures),
            order.get(row["method"], len(order)),
        )
    )
    if not rows:
        return None
    return Table(
        caption=f"Volumes compared with {told_reference(reference)}: reconstruction minus reference",
        corner=["Views", "Structure", "Method"],
        head=["Bias (ml)", "Limits of agreement (ml)", "Cases"],
        rows=[_agreed(row) for row in rows],
    )


def _agreed(row: Row) -> tuple[list[str], list[Cell]]:
    bias, lower, upper = (number(row[key]) for key in ("bias_ml", "lower_ml", "upper_ml"))
    interval = told_interval(number(row["bias_low_ml"]), number(row["bias_high_ml"]), 1, signed=True)
    limits = told_interval(lower, upper, 1, signed=True)
    return (
        [str(whole(row["views"])), row["structure"], row["method"]],
        [
            Cell(_NONE if bias is None else told(bias, 1, signed=True), (f"({interval})",) if interval else ()),
            Cell(limits or _NONE),
            Cell(str(whole(row["n"]))),
        ],
    )

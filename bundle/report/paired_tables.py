"""The tables of what is compared case by case: methods with each other, and volumes with the truth's."""

from __future__ import annotations

from bundle.report.metrics import METRICS
from bundle.report.numbers import number, told, told_interval, told_p_value, whole
from bundle.report.selection import REFERENCES, Row, Selection, is_unperturbed
from bundle.report.tables import Cell, Table

__all__ = ["agreement_table", "comparison_tables"]

_TOO_FEW = "too few cases"


def comparison_tables(selection: Selection, views: int) -> list[Table]:
    """Differences over the same cases at one number of views: metrics by the other methods, for each method."""
    found: dict[str, list[Row]] = {}
    for row in selection.findings.comparisons:
        if is_unperturbed(row) and whole(row["views"]) == views:
            found.setdefault(row["method"], []).append(row)
    return [_comparison_table(rows, method, views) for method, rows in found.items()]


def _comparison_table(rows: list[Row], method: str, views: int) -> Table:
    others = list(dict.fromkeys(row["other"] for row in rows))
    tests = list(dict.fromkeys(str(row["test"] or "") for row in rows))
    lines: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in rows:
        structure = row["structure"] or ""
        line = (row["metric"], structure, row["reference"] if structure else "")
        lines.setdefault(line, {})[row["other"]] = row
    return Table(
        caption=f"{views} views, differences over the same cases" + (f"; {tests[0]}" if len(tests) == 1 else ""),
        corner=["Metric", "Structure", "Compared with"],
        head=[f"{method} minus {other}" for other in others],
        rows=[
            (
                [
                    METRICS[metric].label if metric in METRICS else metric,
                    structure or "whole volume",
                    REFERENCES.get(reference, reference) or "the truth",
                ],
                [
                    _compared(compared[other], len(tests) > 1) if other in compared else Cell("not compared")
                    for other in others
                ],
            )
            for (metric, structure, reference), compared in lines.items()
        ],
    )


def _compared(row: Row, name_test: bool) -> Cell:
    metric = METRICS.get(row["metric"])
    decimals = metric.decimals if metric else 3
    interval = told_interval(number(row["low"]), number(row["high"]), decimals, signed=True)
    p_value = number(row["p_value"])
    told_p = told_p_value(p_value) if p_value is None else f"p {told_p_value(p_value)}"
    details = [f"({interval})"] if interval else []
    details += [f"{told_p}, n = {whole(row['n'])}"] + ([str(row["test"] or "")] if name_test else [])
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
        caption=f"Volumes compared with {REFERENCES.get(reference, reference)}: reconstruction minus reference",
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
            Cell(_TOO_FEW if bias is None else told(bias, 1, signed=True), (f"({interval})",) if interval else ()),
            Cell(limits or _TOO_FEW),
            Cell(str(whole(row["n"]))),
        ],
    )

"""Bland-Altman plots of the structures' volumes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bundle.report.numbers import counted, number, told, told_reference, whole
from bundle.report.selection import Row, Selection, is_unperturbed
from bundle.report.vector_drawing import Style, inline_svg, method_styles, wide_enough
from bundle.visual import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["agreement_plots"]

_LINES = (("upper_ml", "upper limit"), ("bias_ml", "bias"), ("lower_ml", "lower limit"))
_LEAST_SPAN_ML = 20.0
_LEAST_STEP = 0.07  # between the names of the lines, of the height of the plot
_LONGEST_STRUCTURE, _LONGEST_METHOD = 19, 16  # letters that a title has room for


def agreement_plots(
    selection: Selection, reference: str, methods: Iterable[str], structures: Iterable[str]
) -> list[str]:
    """One plot for each structure, number of views and method.

    A structure's plots of one method have the same axes. Those of another have their own: a method that misses
    structures would hide what all others do.
    """
    styles = method_styles(selection.methods)
    every = selection.structures(reference)
    rows = {
        (row["structure"], row["method"], whole(row["views"])): row
        for row in selection.findings.agreement
        if is_unperturbed(row) and row["reference"] == reference
    }
    made = []
    for structure in structures:
        for method in methods:
            points = {views: _points(selection.cases(views, method, reference, structure)) for views in selection.views}
            lines = {
                views: _lines(rows.get((structure, method, views))) if len(found) > 1 else {}
                for views, found in points.items()
            }
            extent = _extent(points, lines)
            for views, found in points.items():
                if found:
                    name = f"volume-{selection.references.index(reference)}-{every.index(structure)}-{views}"
                    name += f"-{selection.methods.index(method)}"
                    title = f"{shortened(structure, _LONGEST_STRUCTURE)}, {counted(views, 'view')}, "
                    title += shortened(method, _LONGEST_METHOD)
                    made.append(_plot(found, lines[views], extent, styles[method], title, name, reference))
    return made


def _points(rows: list[Row]) -> list[tuple[float, float]]:
    """Mean and difference of the volumes of each case, in ml."""
    pairs = [(number(row["volume_ml"]), number(row["reference_volume_ml"])) for row in rows]
    return [((a + b) / 2, a - b) for a, b in pairs if a is not None and b is not None]


def _lines(row: Row | None) -> dict[str, float]:
    """Names and heights of a plot's lines, from the upper to the lower."""
    found = {} if row is None else {label: number(row[key]) for key, label in _LINES}
    return {label: value for label, value in found.items() if value is not None}


def _extent(
    points: dict[int, list[tuple[float, float]]], lines: dict[int, dict[str, float]]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Limits of both axes that hold all points and lines, zero among the differences."""
    means = [mean for found in points.values() for mean, _ in found]
    differences = [difference for found in points.values() for _, difference in found]
    differences += [value for found in lines.values() for value in found.values()]
    return wide_enough(means or [0.0], _LEAST_SPAN_ML, 0.1), wide_enough([*differences, 0.0], _LEAST_SPAN_ML, 0.12)


def _plot(
    points: list[tuple[float, float]],
    lines: dict[str, float],
    extent: tuple[tuple[float, float], tuple[float, float]],
    style: Style,
    title: str,
    name: str,
    reference: str,
) -> str:
    def draw(axes: Axes) -> None:
        axes.axhline(0, color="0.6", lw=0.8)
        for (label, value), height in zip(lines.items(), _label_heights(lines, *extent[1])):
            axes.axhline(value, color=style.colour, lw=1.4, ls="-" if label == "bias" else "--")
            text = f"{label} {told(value, 0, signed=True)}"
            axes.annotate(text, (1.01, height), xycoords="axes fraction", va="center", fontsize=8, color=style.colour)
        axes.plot(*zip(*points), style.marker, color=style.colour, ms=5, mew=0, alpha=0.75)
        axes.set_xlim(extent[0])
        axes.set_ylim(extent[1])
        axes.set_xlabel("mean of both volumes (ml)")
        axes.set_ylabel("difference (ml)")
        axes.set_title(title, loc="left", fontsize=9)

    figures = ", ".join(f"{label} {told(value, 0, signed=True)} ml" for label, value in lines.items())
    if len(points) == 1:
        figures = f"difference {told(points[0][1], 0, signed=True)} ml"
    alternative = f"Bland-Altman plot: {title}, {counted(len(points), 'case')}, compared with "
    alternative += f"{told_reference(reference)}: {figures or 'no limits'}."
    return inline_svg(draw, name, alternative, left_inches=0.75, right_inches=1.1)


def _label_heights(lines: dict[str, float], low: float, high: float) -> list[float]:
    """Where the lines' names stand, in shares of the height: at the lines, or apart where these are close."""
    places = {label: (value - low) / (high - low) for label, value in lines.items()}
    middle = places.get("bias", 0.5)
    away = {"upper limit": middle + _LEAST_STEP, "lower limit": middle - _LEAST_STEP}
    return [
        max(place, away[label]) if label == "upper limit" else min(place, away.get(label, place))
        for label, place in places.items()
    ]

"""Bland-Altman plots of the structures' volumes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bundle.report.numbers import number, told, whole
from bundle.report.selection import REFERENCES, Row, Selection, is_unperturbed
from bundle.report.vector_drawing import Style, inline_svg, method_styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["agreement_plots"]

_LINES = (("upper_ml", "upper limit", "bottom"), ("bias_ml", "bias", "center"), ("lower_ml", "lower limit", "top"))


def agreement_plots(selection: Selection, reference: str, methods: Iterable[str]) -> list[str]:
    """One plot for each plotted structure, number of views and method.

    A structure's plots of one method have the same axes. Those of another have their own: a method that misses
    structures would hide what all others do.
    """
    styles = method_styles(selection.methods)
    made = []
    for position, structure in enumerate(selection.plotted_structures(reference)):
        for method in methods:
            points = {views: _points(selection.cases(views, method, reference, structure)) for views in selection.views}
            figures = {views: _agreement(selection, reference, structure, method, views) for views in selection.views}
            extent = _extent(points, figures)
            for views, found in points.items():
                if found:
                    name = f"volume-{selection.references.index(reference)}-{position}-{views}"
                    name += f"-{selection.methods.index(method)}"
                    title = f"{structure}, {views} views, {method}"
                    made.append(_plot(found, figures[views], extent, styles[method], title, name, reference))
    return made


def _points(rows: list[Row]) -> list[tuple[float, float]]:
    """Mean and difference of the volumes of each case, in ml."""
    pairs = [(number(row["volume_ml"]), number(row["reference_volume_ml"])) for row in rows]
    return [((a + b) / 2, a - b) for a, b in pairs if a is not None and b is not None]


def _agreement(selection: Selection, reference: str, structure: str, method: str, views: int) -> Row | None:
    for row in selection.findings.agreement:
        if (
            is_unperturbed(row)
            and (row["reference"], row["structure"], row["method"]) == (reference, structure, method)
            and whole(row["views"]) == views
        ):
            return row
    return None


def _extent(
    points: dict[int, list[tuple[float, float]]], figures: dict[int, Row | None]
) -> tuple[float, float, float, float]:
    """Limits of the axes that hold all points and lines, zero among the differences: left, right, bottom, top."""
    means = [mean for found in points.values() for mean, _ in found] or [0.0]
    differences = [difference for found in points.values() for _, difference in found] + [0.0]
    lines = [number(row[key]) for row in figures.values() if row is not None for key, *_ in _LINES]
    differences += [value for value in lines if value is not None]
    wide = max(max(means) - min(means), 1.0) * 0.08
    high = max(max(differences) - min(differences), 1.0) * 0.1
    return min(means) - wide, max(means) + wide, min(differences) - high, max(differences) + high


def _plot(
    points: list[tuple[float, float]],
    figures: Row | None,
    extent: tuple[float, float, float, float],
    style: Style,
    title: str,
    name: str,
    reference: str,
) -> str:
    lines = [] if figures is None else [(label, number(figures[key]), side) for key, label, side in _LINES]
    known = [(label, value, side) for label, value, side in lines if value is not None]

    def draw(axes: Axes) -> None:
        axes.axhline(0, color="0.6", lw=0.8)
        for label, value, side in known:
            axes.axhline(value, color=style.colour, lw=1.4, ls="-" if label == "bias" else "--")
            axes.annotate(
                f"{label} {told(value, 0, signed=True)}",
                (1.01, value),
                xycoords=("axes fraction", "data"),
                va=side,
                fontsize=8,
                color=style.colour,
                annotation_clip=False,
            )
        axes.plot(*zip(*points), style.marker, color=style.colour, ms=5, mew=0, alpha=0.75)
        axes.set_xlim(extent[:2])
        axes.set_ylim(extent[2:])
        axes.set_xlabel("mean of both volumes (ml)")
        axes.set_ylabel("difference (ml)")
        axes.set_title(title, loc="left")

    told_lines = ", ".join(f"{label} {told(value, 0, signed=True)} ml" for label, value, _ in known)
    against = REFERENCES.get(reference, reference)
    alternative = (
        f"Bland-Altman plot: {title}, {len(points)} cases, against {against}: {told_lines or 'too few cases'}."
    )
    return inline_svg(draw, name, alternative, left_inches=0.75, right_inches=1.1)

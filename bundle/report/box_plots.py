"""Box plots: the cases' values by method and number of views."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bundle.metrics.catalogue import DICE, QUALITY, STRUCTURE, Metric
from bundle.report.numbers import counted, number
from bundle.report.selection import Row, Selection
from bundle.report.vector_drawing import inline_svg, method_styles, wide_enough
from bundle.visual import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["quality_plots", "structure_plots"]

_LEAST_FOR_BOX = 4  # values that have quartiles
_WIDTH = 0.8  # of a group of boxes
_LEAST_SPAN = 50  # of the axis, in units of the last digit that is told
_LONGEST_STRUCTURE = 34  # letters that a title has room for beside the metric
Values = dict[tuple[int, str], list[float | None]]  # of the cases, by views and method


def quality_plots(selection: Selection) -> list[str]:
    """One plot for each metric of image quality that is there."""
    made = []
    for metric in QUALITY:
        rows = {(v, m): selection.cases(v, m) for v in selection.views for m in selection.methods}
        made.append(_plot(selection, metric, rows, metric.label, f"box-{metric.key.replace('_', '-')}"))
    return [plot for plot in made if plot]


def structure_plots(selection: Selection, reference: str) -> list[str]:
    """One plot for each metric of every plotted structure."""
    made = []
    for position, structure in enumerate(selection.lowest_structures(reference)):
        rows = {(v, m): selection.cases(v, m, reference, structure) for v in selection.views for m in selection.methods}
        for metric in STRUCTURE:
            name = f"box-{selection.references.index(reference)}-{position}-{metric.key.replace('_', '-')}"
            made.append(
                _plot(selection, metric, rows, f"{shortened(structure, _LONGEST_STRUCTURE)}: {metric.label}", name)
            )
    return [plot for plot in made if plot]


def _plot(selection: Selection, metric: Metric, rows: dict[tuple[int, str], list[Row]], title: str, name: str) -> str:
    """A plot, empty where no value is defined."""
    values = {key: [number(row[metric.key]) for row in found] for key, found in rows.items()}
    finite = [value for found in values.values() for value in found if value is not None and math.isfinite(value)]
    if not finite:
        return ""

    # A structure that is not found has Dice 0: a scale down to it would hide all differences.
    apart = 0.0 if metric is DICE and any(finite) else None

    def draw(axes: Axes) -> None:
        _draw(axes, selection, values, apart)
        least = _LEAST_SPAN * 10**-metric.decimals
        axes.set_ylim(wide_enough([value for value in finite if value != apart], least))
        axes.set_title(title, loc="left")

    better = "more" if metric.more_is_better else "less"
    return inline_svg(draw, name, f"Box plots of {title} by method and number of views; {better} is better.")


def _draw(axes: Axes, selection: Selection, values: Values, apart: float | None) -> None:
    """Draws boxes and points of the cases' values; those that are apart are counted below the scale."""
    step = _WIDTH / len(selection.methods)
    for group, views in enumerate(selection.views):
        for i, (method, style) in enumerate(method_styles(selection.methods).items()):
            found = values[views, method]
            defined = [value for value in found if value is not None and math.isfinite(value)]
            centre = group + (i - (len(selection.methods) - 1) / 2) * step
            if len(defined) >= _LEAST_FOR_BOX:
                line = {"color": style.colour, "linewidth": 1.1}
                axes.boxplot(
                    defined,
                    positions=[centre],
                    widths=step * 0.8,
                    showfliers=False,
                    patch_artist=True,
                    manage_ticks=False,
                    boxprops={"facecolor": style.colour + "26", "edgecolor": style.colour, "linewidth": 1.1},
                    whiskerprops=line,
                    capprops=line,
                    medianprops={**line, "linewidth": 2.2},
                )
            # Side by side in the order of the cases, so that equal values do not hide each other.
            beside = np.linspace(-0.22, 0.22, len(found)) * step if len(found) > 1 else np.zeros(len(found))
            shown = [
                (centre + shift, value)
                for shift, value in zip(beside, found)
                if value is not None and math.isfinite(value)
            ]
            if shown:
                x, y = zip(*shown)
                axes.plot(x, y, style.marker, color=style.colour, ms=3, mew=0, alpha=0.8)
            _annotate(axes, centre, found, apart, style.colour)
    axes.set_xticks(range(len(selection.views)), [counted(views, "view") for views in selection.views])
    axes.set_xlim(-0.5, len(selection.views) - 0.5)
    axes.grid(axis="x", visible=False)
    for group in range(1, len(selection.views)):
        axes.axvline(group - 0.5, color="0.8", lw=0.8)


def _annotate(axes: Axes, centre: float, found: list[float | None], apart: float | None, colour: str) -> None:
    """Counts what the scale does not show: undefined and infinite values above it, those that are apart below."""
    counts = {"∅": found.count(None), "∞": found.count(math.inf)}
    above = "\n".join(f"{count}{sign}" for sign, count in counts.items() if count)
    below = 0 if apart is None else found.count(apart)
    for text, where, side in ((above, 1, "top"), (f"{below}↓" if below else "", 0, "bottom")):
        if text:
            axes.annotate(
                text,
                (centre, where),
                xycoords=("data", "axes fraction"),
                va=side,
                ha="center",
                fontsize=8,
                color=colour,
            )

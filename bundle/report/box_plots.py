"""Box plots: the cases' values by method and number of views."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bundle.report.metrics import DICE, QUALITY, STRUCTURE, Metric
from bundle.report.numbers import number
from bundle.report.selection import Row, Selection
from bundle.report.vector_drawing import inline_svg, method_styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["quality_plots", "structure_plots"]

_LEAST_FOR_BOX = 4  # values that have quartiles
_WIDTH = 0.8  # of a group of boxes


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
    for position, structure in enumerate(selection.plotted_structures(reference)):
        rows = {(v, m): selection.cases(v, m, reference, structure) for v in selection.views for m in selection.methods}
        for metric in STRUCTURE:
            name = f"box-{selection.references.index(reference)}-{position}-{metric.key.replace('_', '-')}"
            made.append(_plot(selection, metric, rows, f"{structure}: {metric.label}", name))
    return [plot for plot in made if plot]


def _plot(selection: Selection, metric: Metric, rows: dict[tuple[int, str], list[Row]], title: str, name: str) -> str:
    """A plot, empty where no value is defined."""
    values = {key: [number(row[metric.key]) for row in found] for key, found in rows.items()}
    if not any(value is not None for found in values.values() for value in found):
        return ""

    # A structure that is not found has Dice 0: a scale down to it would hide all differences.
    apart = [0.0] if metric is DICE and any(value for found in values.values() for value in found) else []

    def draw(axes: Axes) -> None:
        _draw(axes, selection, values, apart)
        axes.set_title(title, loc="left")

    better = "more" if metric.more_is_better else "less"
    return inline_svg(draw, name, f"Box plots of {title} by method and number of views; {better} is better.")


def _draw(
    axes: Axes, selection: Selection, values: dict[tuple[int, str], list[float | None]], apart: list[float]
) -> None:
    """Draws boxes and points of the cases' values; those apart are counted below the scale."""
    step = _WIDTH / len(selection.methods)
    for group, views in enumerate(selection.views):
        for i, (method, style) in enumerate(method_styles(selection.methods).items()):
            found = values[views, method]
            defined = [value for value in found if value is not None]
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
            shown = [(centre + shift, value) for shift, value in zip(beside, found) if value is not None]
            if shown:
                x, y = zip(*shown)
                axes.plot(x, y, style.marker, color=style.colour, ms=3, mew=0, alpha=0.8)
            below = sum(value in apart for value in defined)
            for text, count, where, side in (("∅", len(found) - len(defined), 1, "top"), ("↓", below, 0, "bottom")):
                if count:
                    axes.annotate(
                        f"{count}{text}",
                        (centre, where),
                        xycoords=("data", "axes fraction"),
                        va=side,
                        ha="center",
                        fontsize=8,
                        color=style.colour,
                    )
    scale = [value for found in values.values() for value in found if value is not None and value not in apart]
    margin = max((max(scale) - min(scale)) * 0.06, 1e-3)
    axes.set_ylim(min(scale) - margin, max(scale) + margin)
    axes.set_xticks(range(len(selection.views)), [f"{views} views" for views in selection.views])
    axes.set_xlim(-0.5, len(selection.views) - 0.5)
    axes.grid(axis="x", visible=False)
    for group in range(1, len(selection.views)):
        axes.axvline(group - 0.5, color="0.8", lw=0.8)

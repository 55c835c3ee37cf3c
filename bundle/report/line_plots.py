"""Line plots: metrics against a perturbation's level, and residuals against the gantry angle."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from bundle.report.numbers import number, whole
from bundle.report.robustness import change, levels_of, shown_metrics
from bundle.report.selection import Selection
from bundle.report.vector_drawing import inline_svg, method_styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["residual_plots", "robustness_plots"]

_WIDE_RANGE = 30.0  # of levels that only a logarithmic axis shows apart


def robustness_plots(selection: Selection, name: str, views: int, position: int) -> list[str]:
    """PSNR and the structures' Dice against the level of a perturbation; none where it has fewer than two levels.

    Args:
        selection: the rows.
        name: the perturbation.
        views: number of views.
        position: of the perturbation among all, for the names inside the plots.
    """
    levels = [(level, unit) for level, unit in levels_of(selection, name, views) if level is not None]
    if len(levels) < 2:
        return []
    made = []
    for which, (metric, reference, structure) in enumerate(shown_metrics(selection)):
        lines = {}
        for method in selection.methods:
            found = [
                (level, change(selection, metric, reference, structure, (name, level), views, method))
                for level, _ in levels
            ]
            lines[method] = [(level, one) for level, one in found if one is not None]
        if not any(lines.values()):
            continue
        title = f"{structure} {metric.label}".strip()

        def draw(axes: Axes, lines=lines, title=title, metric=metric, reference=reference, structure=structure) -> None:
            for method, style in method_styles(selection.methods).items():
                if not lines[method]:
                    continue
                x = [level for level, _ in lines[method]]
                axes.plot(x, [one.after for _, one in lines[method]], style.marker + "-", color=style.colour, ms=5)
                for level in x:
                    row = selection.summary(metric.key, views, method, reference, structure, (name, level))
                    low, high = (None, None) if row is None else (number(row["low"]), number(row["high"]))
                    if low is not None and high is not None:
                        axes.vlines(level, low, high, color=style.colour, lw=1, alpha=0.6)
                axes.axhline(lines[method][0][1].before, color=style.colour, lw=1.1, ls=":")
            values = [level for level, _ in levels]
            if min(values) > 0 and max(values) / min(values) > _WIDE_RANGE:
                axes.set_xscale("log")
            axes.set_xticks(values, [f"{level:g}" for level in values])
            axes.minorticks_off()
            axes.set_xlabel(f"{name.replace('_', ' ')} ({levels[0][1]})" if levels[0][1] else name.replace("_", " "))
            axes.set_title(f"{title}, {views} views", loc="left")

        alternative = f"{title} at {views} views against the level of {name}, by method; dotted: without it."
        made.append(inline_svg(draw, f"robustness-{position}-{views}-{which}", alternative))
    return made


def residual_plots(selection: Selection) -> list[str]:
    """The projections' relative residual against the gantry angle, as the mean over the cases, by method."""
    rows = selection.findings.residuals
    methods = list(dict.fromkeys([*selection.methods, *(row["method"] for row in rows)]))
    styles = method_styles(methods)
    made = []
    for views in sorted({whole(row["views"]) for row in rows}):
        values: dict[str, dict[float, list[float]]] = {method: defaultdict(list) for method in methods}
        for row in rows:
            angle, relative = number(row["angle_deg"]), number(row["relative"])
            if whole(row["views"]) == views and angle is not None and relative is not None:
                values[row["method"]][round(angle, 2)].append(relative)

        def draw(axes: Axes, values=values, views=views) -> None:
            for method, style in styles.items():
                if values[method]:
                    x = sorted(values[method])
                    y = [100 * np.mean(values[method][angle]) for angle in x]
                    axes.plot(x, y, style.marker + "-", color=style.colour, ms=4, lw=1.2)
            axes.set_ylim(bottom=0)
            axes.set_xlabel("gantry angle (°)")
            axes.set_ylabel("residual (% of the measured)")
            axes.set_title(f"{views} views", loc="left")

        alternative = f"Relative residual by gantry angle and method, {views} views."
        made.append(inline_svg(draw, f"residual-{views}", alternative))
    return made

"""Plots of the projections' residuals."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from bundle.report.numbers import counted, number, whole
from bundle.report.selection import Selection, is_unperturbed
from bundle.report.vector_drawing import inline_svg, method_styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["residual_plots"]


def residual_plots(selection: Selection) -> list[str]:
    """The projections' relative residual against the gantry angle, as the mean over the cases, by method.

    Residuals of reconstructions that were not evaluated, which their table may hold, are left out.
    """
    quality = filter(is_unperturbed, selection.findings.quality)
    evaluated = {(row["case"], row["method"], whole(row["views"])) for row in quality}
    values: dict[int, dict[str, dict[float, list[float]]]] = {}
    for row in selection.findings.residuals:
        views, angle, relative = whole(row["views"]), number(row["angle_deg"]), number(row["relative"])
        if (row["case"], row["method"], views) in evaluated and angle is not None and relative is not None:
            by_method = values.setdefault(views, defaultdict(lambda: defaultdict(list)))
            by_method[row["method"]][round(angle, 2)].append(relative)
    styles = method_styles(selection.methods)
    made = []
    for views, by_method in sorted(values.items()):

        def draw(axes: Axes, by_method=by_method, views=views) -> None:
            for method, style in styles.items():
                if method in by_method:
                    x = sorted(by_method[method])
                    y = [100 * np.mean(by_method[method][angle]) for angle in x]
                    axes.plot(x, y, style.marker + "-", color=style.colour, ms=4, lw=1.2)
            axes.set_ylim(bottom=0)
            axes.set_xlabel("gantry angle (°)")
            axes.set_ylabel("residual (% of the measured)")
            axes.set_title(counted(views, "view"), loc="left")

        alternative = f"Relative residual by gantry angle and method, {counted(views, 'view')}."
        made.append(inline_svg(draw, f"residual-{views}", alternative))
    return made

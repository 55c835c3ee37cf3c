"""Plots of metrics against the level of a perturbation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle.metrics.catalogue import Metric
from bundle.report.levels import is_stronger_when_less, told_amount
from bundle.report.numbers import counted
from bundle.report.robustness import Change, Experiment
from bundle.report.vector_drawing import Style, inline_svg, wide_enough
from bundle.visual import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["robustness_plots"]

_WIDE_RANGE = 30.0  # of levels that only a logarithmic axis shows apart
_LEAST_SPAN = 50  # of the axis, in units of the last digit that is told
_LONGEST_STRUCTURE = 30  # letters that a title has room for beside the metric


def robustness_plots(experiment: Experiment, styles: dict[str, Style], position: int) -> list[str]:
    """PSNR and the structures' Dice against the level, mild at the left; none where there are fewer than two levels.

    Args:
        experiment: what to plot.
        styles: of the methods.
        position: of the experiment among all, for the names inside the plots.
    """
    levels = [level for level, _ in experiment.levels if level is not None]
    if len(levels) < 2:
        return []
    made = []
    for which, ((metric, _, structure), by_method) in enumerate(experiment.changes.items()):
        title = f"{shortened(structure, _LONGEST_STRUCTURE)} {metric.label}".strip()
        lines = {method: _line(experiment, changes) for method, changes in by_method.items()}

        def draw(axes: Axes, metric=metric, lines=lines, title=title) -> None:
            _draw(axes, metric, lines, styles)
            _name_levels(axes, experiment)
            axes.set_title(f"{title}, {counted(experiment.views, 'view')}", loc="left")

        alternative = f"{title} with {counted(experiment.views, 'view')} against the level of "
        alternative += f"{experiment.name.replace('_', ' ')}, from mild to strong, by method; dotted: without it."
        made.append(inline_svg(draw, f"robustness-{position}-{which}", alternative))
    return made


def _line(experiment: Experiment, changes: list[Change | None]) -> list[tuple[float, Change]]:
    return [
        (level, change)
        for (level, _), change in zip(experiment.levels, changes)
        if level is not None and change is not None
    ]


def _draw(axes: Axes, metric: Metric, lines: dict[str, list[tuple[float, Change]]], styles: dict[str, Style]) -> None:
    """Means with their intervals, and those of the same cases without the perturbation."""
    shown = []
    for method, line in lines.items():
        style = styles[method]
        x, befores = [level for level, _ in line], [change.before for _, change in line]
        axes.plot(x, [change.after for _, change in line], style.marker + "-", color=style.colour, ms=5)
        for level, change in line:
            if change.interval is not None:
                axes.vlines(level, *change.interval, color=style.colour, lw=1, alpha=0.6)
            shown += [change.before, change.after, *(change.interval or ())]
        if len(set(befores)) == 1:
            axes.axhline(befores[0], color=style.colour, lw=1.1, ls=":")
        else:
            axes.plot(x, befores, color=style.colour, lw=1.1, ls=":")
    if shown:
        axes.set_ylim(wide_enough(shown, _LEAST_SPAN * 10**-metric.decimals))


def _name_levels(axes: Axes, experiment: Experiment) -> None:
    levels = [level for level, _ in experiment.levels if level is not None]
    if min(levels) > 0 and max(levels) / min(levels) > _WIDE_RANGE:
        axes.set_xscale("log")
    axes.set_xticks(levels, [told_amount(level, "") for level in levels])
    axes.minorticks_off()
    axes.margins(x=0.1)
    if is_stronger_when_less(experiment.name):
        axes.invert_xaxis()
    name, unit = experiment.name.replace("_", " "), experiment.levels[-1][1]
    axes.set_xlabel(f"{name} ({unit})" if unit and not name.endswith(unit) else name)

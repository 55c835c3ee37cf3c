"""Plots of a benchmark's figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bundle.atomic import atomic_path
from bundle.optional import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PLOTS", "draw"]

Figures = dict[str, Any]
_BLUE, _GREY = "#1f6fb4", "#888888"
_PARTS_COLOURS = "tab20"


def draw(name: str, figures: Figures, folder: Path) -> Path:
    """Draws one part.

    Args:
        name: one of PLOTS.
        figures: the part's, as in the JSON file.
        folder: where the picture goes, as NAME.png.

    Raises:
        ImportError: when matplotlib is missing.
        InputError: when the folder cannot be written.
    """
    canvas = require("matplotlib.backends.backend_agg", "matplotlib", "drawing the benchmark")
    module = require("matplotlib.figure", "matplotlib", "drawing the benchmark")
    figure = module.Figure(figsize=(10, 4.2), layout="constrained")
    canvas.FigureCanvasAgg(figure)
    PLOTS[name](figure.subplots(1, 2), figures)
    path = folder / f"{name}.png"
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
    return path


def _inference(axes: tuple[Axes, Axes], figures: Figures) -> None:
    rows = figures["tables"]["inference"]
    names = [row["method"] for row in rows]
    side, views = figures["settings"]["output_shape"][0], figures["settings"]["views"]
    colours = [_colour(row) for row in rows]
    _bars(axes[0], names, [row["seconds"] for row in rows], colours, "{:.3g} s")
    axes[0].set(title=f"{side}³ from {views} views", xlabel="seconds")
    _bars(axes[1], names, [row["extra_memory_mb"] for row in rows], colours, "{:.0f} MB")
    axes[1].set_xlabel("peak memory beyond weights and projections (MB)")


def _colour(row: Figures) -> str:
    return _GREY if row["method"] == "straightforward" else _BLUE


def _bars(axes: Axes, names: list[str], values: list[float | None], colours: list[str], text: str) -> None:
    known = [np.nan if value is None else value for value in values]
    bars = axes.barh(names, known, color=colours)
    axes.bar_label(bars, ["" if np.isnan(value) else text.format(value) for value in known], padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.spines[["top", "right"]].set_visible(False)


def _training(axes: tuple[Axes, Axes], figures: Figures) -> None:
    rows = figures["tables"]["steps"]
    names = [f"{row['stage']}\n{row['method']}" for row in rows]
    parts = list(dict.fromkeys(name for row in rows for name in row["seconds"]))
    colours = require("matplotlib", "matplotlib", "drawing the benchmark").colormaps[_PARTS_COLOURS].colors
    left = np.zeros(len(rows))
    for part, colour in zip(parts, colours):
        width = np.array([row["seconds"].get(part, 0.0) for row in rows])
        axes[0].barh(names, width, left=left, label=part.replace("_", " "), color=colour)
        left += width
    axes[0].invert_yaxis()
    axes[0].set_xlabel("seconds of a step")
    axes[0].legend(fontsize=7, ncols=6, loc="upper center", bbox_to_anchor=(0.4, -0.12))
    axes[0].spines[["top", "right"]].set_visible(False)
    _bars(axes[1], names, [row["extra_memory_mb"] for row in rows], [_colour(row) for row in rows], "{:.0f} MB")
    axes[1].set_xlabel("peak memory beyond weights and batch (MB)")
    axes[1].set_yticks([])


def _scaling(axes: tuple[Axes, Axes], figures: Figures) -> None:
    rows, fits = figures["tables"]["scaling"], figures["fits"]
    labels = {"seconds": "seconds", "process_peak_mb": "peak memory of the process (MB)"}
    for panel, (figure, label) in zip(axes, labels.items()):
        if figure not in fits:
            panel.set_visible(False)
            continue
        for views, marker in zip(sorted({row["views"] for row in rows}), "osD^v"):
            some = sorted((row for row in rows if row["views"] == views), key=lambda row: row["voxels"])
            voxels = [row["voxels"] for row in some]
            (points,) = panel.plot(voxels, [row[figure] for row in some], marker, label=f"{views} views")
            ends = np.geomspace(min(r["voxels"] for r in rows), max(r["voxels"] for r in rows), 50)
            curve = predicted(fits[figure]["coefficients"], ends, views)
            panel.plot(ends, curve, "-", color=points.get_color(), linewidth=0.9, alpha=0.7)
        panel.set(xscale="log", xlabel="output voxels", ylabel=label)
        most = max(row[figure] for row in rows)
        panel.set(**({"yscale": "log"} if figure == "seconds" else {"ylim": (0, 1.15 * most)}))
        sides = sorted({row["side"] for row in rows})
        panel.set_xticks([side**3 for side in sides], [f"{side}³" for side in sides])
        panel.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
        panel.grid(alpha=0.3)
    axes[0].legend(title="lines: fit", fontsize=8)


def predicted(coefficients: dict[str, float], voxels: np.ndarray, views: int) -> np.ndarray:
    """A fit's value."""
    of = {"constant": 1.0, "per view": views, "per voxel": voxels, "per voxel and view": voxels * views}
    return sum(value * of[name] for name, value in coefficients.items()) + np.zeros_like(voxels)


PLOTS: dict[str, Callable[[tuple[Axes, Axes], Figures], None]] = {
    "inference": _inference,
    "training": _training,
    "scaling": _scaling,
}
"""Parts that are drawn."""

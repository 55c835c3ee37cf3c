"""Contact sheets: one for each case, and one for all of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bundle.atomic import atomic_path
from bundle.inspection.contents import CaseContents
from bundle.inspection.listing import ListedCase
from bundle.inspection.panels import (
    PLANES,
    draw_geometry,
    draw_histogram,
    draw_plane,
    draw_projection,
    draw_sinogram,
)
from bundle.optional import require
from bundle.visual import shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["case_sheet", "overview_sheet", "require_drawing", "save_sheet"]

_COLUMNS = 6
_LONGEST_NAME = 70


def require_drawing() -> None:
    """Imports matplotlib, or says what to install.

    Raises:
        ImportError: when it is missing.
    """
    require("matplotlib.backends.backend_agg", "matplotlib", "drawing contact sheets")


def case_sheet(case: ListedCase, contents: CaseContents, problem: str = "") -> Figure:
    """Draws a case: three planes, two projections, a sinogram row, the histogram of HU, and the scan.

    Args:
        case: its entry in the listing.
        contents: what is shown.
        problem: what is wrong with it, written in red.
    """
    figure = _figure(17.0, 8.8)
    grid = figure.add_gridspec(2, 4)
    for column, name in enumerate(PLANES):
        draw_plane(figure.add_subplot(grid[0, column]), contents, name)
    draw_histogram(figure.add_subplot(grid[0, 3]), contents)
    high = float(max(contents.projections.max(), contents.sinogram.max(), 1e-6))
    for which in (0, 1):
        draw_projection(figure.add_subplot(grid[1, which]), contents, which, high)
    draw_sinogram(figure.add_subplot(grid[1, 2]), contents, high)
    draw_geometry(figure.add_subplot(grid[1, 3]), contents.geometry)
    title = f"{shortened(case.name, _LONGEST_NAME)} ({case.section}), from {shortened(contents.source, _LONGEST_NAME)}"
    if contents.projection_range is None:
        title += "; no projections are stored: those shown are simulated"
    figure.suptitle(
        title + (f"\n{problem}" if problem else ""), color="firebrick" if problem else "black", fontsize=12
    ).set_parse_math(False)
    return figure


def overview_sheet(slices: Sequence[tuple[ListedCase, np.ndarray, float]]) -> Figure:
    """Draws one slice of each case side by side.

    Args:
        slices: case, image in [0, 1] and its row-to-column pixel ratio.
    """
    columns = min(_COLUMNS, len(slices))
    rows = -(-len(slices) // columns)
    figure = _figure(2.5 * columns, 2.9 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, (case, image, ratio) in zip(panels, slices):
        axes.imshow(image, cmap="gray", vmin=0, vmax=1, aspect=ratio, interpolation="nearest")
        axes.set_title(f"{shortened(case.name, 26)}\n{case.section}", fontsize=8).set_parse_math(False)
    return figure


def save_sheet(figure: Figure, path: str | os.PathLike) -> None:
    """Writes a sheet as PNG, complete or not at all.

    Raises:
        InputError: when the disk is full or the folder is not writable.
    """
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100, format="png")


def _figure(width: float, height: float) -> Figure:
    figure = require("matplotlib.figure", "matplotlib", "drawing contact sheets").Figure(
        figsize=(width, height), layout="constrained"
    )
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    require("matplotlib.backends.backend_agg", "matplotlib", "drawing contact sheets").FigureCanvasAgg(figure)
    return figure

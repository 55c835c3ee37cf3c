"""Pictures of truth and reconstruction with the contours of both masks."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bundle.optional import require
from bundle.report.findings import Picture
from bundle.report.slices import PictureSlices
from bundle.visual import PLANES, name_edges

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["DrawnPlane", "draw_plane", "structure_colour"]

# Okabe and Ito's colours that show on grey; neighbours in the list differ most.
_COLOURS = ("#56B4E9", "#E69F00", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#0072B2")
_TRUTH, _RECONSTRUCTION = "-", (0, (3, 2))  # lines, as matplotlib takes them
_WIDTH_INCHES, _DPI, _JPEG_QUALITY = 7.2, 100, 78
_TITLE_INCHES = 0.26
_LEAST_ASPECT, _LARGEST_ASPECT = 0.4, 1.4  # height by width of a panel


@dataclass(frozen=True)
class DrawnPlane:
    """One plane of a picture.

    Args:
        uri: the image as a data URI.
        alternative: what it shows, for those who cannot see it.
        labels: values of the structures in it.
    """

    uri: str
    alternative: str
    labels: frozenset[int]


def structure_colour(label: int) -> str:
    """The colour of a structure's contours, by its value in the label maps; told apart with any colour vision."""
    return _COLOURS[(label - 1) % len(_COLOURS)]


def draw_plane(part: PictureSlices, picture: Picture) -> DrawnPlane:
    """Draws one plane of a case: truth at the left, reconstruction at the right.

    Raises:
        ImportError: when matplotlib is missing.
    """
    canvas = require("matplotlib.backends.backend_agg", "matplotlib", "drawing the report")
    figures = require("matplotlib.figure", "matplotlib", "drawing the report")
    rows, columns = part.truth.shape
    aspect = float(np.clip(rows * part.ratio / columns, _LEAST_ASPECT, _LARGEST_ASPECT))
    height = aspect * _WIDTH_INCHES / 2 + _TITLE_INCHES
    # A margin beside thin slices, so that the letters have room.
    shown_rows = max(rows, aspect * columns / part.ratio)
    shown_columns = max(columns, rows * part.ratio / aspect)
    figure = figures.Figure(figsize=(_WIDTH_INCHES, height), dpi=_DPI, facecolor="black")
    canvas.FigureCanvasAgg(figure)
    top = 1 - _TITLE_INCHES / height
    axes = figure.subplots(1, 2, gridspec_kw={"left": 0, "right": 1, "bottom": 0, "top": top, "wspace": 0.01})
    for panel, image, title in zip(axes, (part.truth, part.volume), ("truth", "reconstruction")):
        low, high = picture.hu_window
        panel.imshow(image, cmap="gray", vmin=low, vmax=high, aspect=part.ratio, interpolation="nearest")
        _outline(panel, part.reference_mask, _TRUTH)
        _outline(panel, part.mask, _RECONSTRUCTION)
        panel.set_xlim((columns - 1 - shown_columns) / 2, (columns - 1 + shown_columns) / 2)
        panel.set_ylim((rows - 1 + shown_rows) / 2, (rows - 1 - shown_rows) / 2)
        panel.set_axis_off()
        panel.set_title(f"{part.plane}: {title}", color="white", fontsize=10, pad=3)
        name_edges(panel, PLANES[part.plane].edges, colour="white")
    stream = io.BytesIO()
    figure.savefig(stream, format="jpg", pil_kwargs={"quality": _JPEG_QUALITY, "subsampling": 0, "optimize": True})
    described = (
        f"{part.plane} slice {part.position + 1} of {part.count} of {picture.case}: truth at the left, reconstruction "
        f"with {picture.method} at the right, both with the truth's mask (solid) and the reconstruction's (dashed)"
    )
    uri = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
    present = np.union1d(part.reference_mask, part.mask)
    return DrawnPlane(uri, described, frozenset(int(label) for label in present if label > 0))


def _outline(axes: Axes, labels: np.ndarray, line: str | tuple) -> None:
    """Draws the border of every label, closed at the edges of the image, too."""
    padded = np.pad(labels, 1)
    across, down = np.arange(padded.shape[1]) - 1, np.arange(padded.shape[0]) - 1
    for label in np.unique(padded[padded > 0]):
        colour = structure_colour(int(label))
        axes.contour(across, down, padded == label, levels=[0.5], colors=[colour], linewidths=1.3, linestyles=[line])

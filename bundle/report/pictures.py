"""Pictures of truth and reconstruction with the contours of both masks."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bundle.inspection.panels import PLANES
from bundle.optional import require
from bundle.report.findings import Picture
from bundle.report.slices import PictureSlices, read_slices

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CONTOURS", "DrawnPlane", "draw_picture"]

CONTOURS = {"truth": ("#56B4E9", "-"), "reconstruction": ("#E69F00", "--")}
"""Colour and line of each mask: told apart with any colour vision, and without colour."""
_WIDTH_INCHES, _DPI, _JPEG_QUALITY = 7.2, 100, 78
_TITLE_INCHES = 0.26
_LARGEST_ASPECT = 1.4
_EDGES = (
    (0.02, 0.5, "left", "center"),
    (0.98, 0.5, "right", "center"),
    (0.5, 0.98, "center", "top"),
    (0.5, 0.02, "center", "bottom"),
)
_LETTERS: dict[str, Any] = {
    "color": "white",
    "fontsize": 10,
    "weight": "bold",
    "bbox": {"boxstyle": "round,pad=0.1", "facecolor": "black", "edgecolor": "none", "alpha": 0.55},
}


@dataclass(frozen=True)
class DrawnPlane:
    """One plane of a picture.

    Args:
        uri: the image as a data URI.
        alternative: what it shows, for those who cannot see it.
    """

    uri: str
    alternative: str


def draw_picture(picture: Picture) -> list[DrawnPlane]:
    """Draws the axial, coronal and sagittal plane of a case: truth at the left, reconstruction at the right.

    Raises:
        InputError: when a file cannot be read or the grids differ.
        ImportError: when matplotlib is missing.
    """
    return [_drawn(part, picture) for part in read_slices(picture)]


def _drawn(part: PictureSlices, picture: Picture) -> DrawnPlane:
    canvas = require("matplotlib.backends.backend_agg", "matplotlib", "drawing the report")
    figures = require("matplotlib.figure", "matplotlib", "drawing the report")
    rows, columns = part.truth.shape
    height = min(rows * part.ratio / columns, _LARGEST_ASPECT) * _WIDTH_INCHES / 2 + _TITLE_INCHES
    figure = figures.Figure(figsize=(_WIDTH_INCHES, height), dpi=_DPI, facecolor="black")
    canvas.FigureCanvasAgg(figure)
    top = 1 - _TITLE_INCHES / height
    axes = figure.subplots(1, 2, gridspec_kw={"left": 0, "right": 1, "bottom": 0, "top": top, "wspace": 0.01})
    for panel, image, title in zip(axes, (part.truth, part.volume), ("truth", "reconstruction")):
        low, high = picture.hu_window
        panel.imshow(image, cmap="gray", vmin=low, vmax=high, aspect=part.ratio, interpolation="nearest")
        _outline(panel, part.reference_mask, *CONTOURS["truth"])
        _outline(panel, part.mask, *CONTOURS["reconstruction"])
        panel.set_xlim(-0.5, columns - 0.5)
        panel.set_ylim(rows - 0.5, -0.5)
        panel.set_axis_off()
        panel.set_title(f"{part.plane}: {title}", color="white", fontsize=10, pad=3)
        for (x, y, across, along), letter in zip(_EDGES, PLANES[part.plane]):
            panel.text(x, y, letter, ha=across, va=along, transform=panel.transAxes, **_LETTERS)
    stream = io.BytesIO()
    figure.savefig(stream, format="jpg", pil_kwargs={"quality": _JPEG_QUALITY, "subsampling": 0, "optimize": True})
    described = (
        f"{part.plane} slice {part.position + 1} of {part.count} of {picture.case}: truth at the left, reconstruction "
        f"with {picture.method} at the right, both with the truth's mask (solid) and the reconstruction's (dashed)"
    )
    return DrawnPlane("data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii"), described)


def _outline(axes: Axes, labels: np.ndarray, colour: str, line: str) -> None:
    """Draws the border of every label, closed at the edges of the image, too."""
    padded = np.pad(labels, 1)
    across, down = np.arange(padded.shape[1]) - 1, np.arange(padded.shape[0]) - 1
    for label in np.unique(padded[padded > 0]):
        axes.contour(across, down, padded == label, levels=[0.5], colors=[colour], linewidths=1.3, linestyles=[line])

"""Pictures of reconstructions."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from bundle.atomic import atomic_path
from bundle.metrics import psnr, ssim_3d
from bundle.optional import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PLANES", "Plane", "comparison_figure", "name_edges", "plane", "shortened", "truth_and_prediction"]


class Plane(NamedTuple):
    """How a plane lies in the patient.

    Args:
        axis: the axis that it cuts, of left, back and head.
        edges: the patient's sides at the left, right, top and bottom edge, as :func:`plane` shows it.
    """

    axis: int
    edges: str


PLANES = {"axial": Plane(2, "RLAP"), "coronal": Plane(1, "RLHF"), "sagittal": Plane(0, "APHF")}
_EDGES = (
    # place in the panel, and which side of the letters is there
    (0.03, 0.5, "left", "center"),
    (0.97, 0.5, "right", "center"),
    (0.5, 0.97, "center", "top"),
    (0.5, 0.03, "center", "bottom"),
)


def plane(volume: np.ndarray, name: str, voxel_mm: Sequence[float]) -> tuple[np.ndarray, float]:
    """The middle slice of a volume as radiologists look at it, and its row-to-column pixel ratio.

    Args:
        volume: [x, y, z] in LPS order.
        name: "axial" (seen from the feet, front at the top), "coronal" (seen from the front, head at the top) or
            "sagittal" (seen from the patient's left, head at the top, front at the left).
        voxel_mm: voxel size (x, y, z).
    """
    axis = PLANES[name].axis
    image = np.take(volume, volume.shape[axis] // 2, axis=axis).T  # rows are now the later axis
    across, down = [voxel_mm[a] for a in range(3) if a != axis]
    if name != "axial":
        image = image[::-1]  # z grows upwards
    return image, down / across


def truth_and_prediction(
    outputs: Sequence[Mapping[str, torch.Tensor]], voxel_mm: Sequence[float]
) -> list[torch.Tensor]:
    """Pictures for TensorBoard: the middle planes of truths, above those of what was reconstructed.

    Args:
        outputs: an evaluator's outputs, with "label" and "pred" [1, X, Y, Z] in LPS order.
        voxel_mm: voxel size (x, y, z).

    Returns:
        [1, rows, columns] per output, with square pixels: axial, coronal and sagittal side by side.
    """
    return [
        torch.cat([_strip(output[key][0].float().cpu().numpy(), voxel_mm) for key in ("label", "pred")])[None]
        for output in outputs
    ]


def _strip(volume: np.ndarray, voxel_mm: Sequence[float]) -> torch.Tensor:
    """[rows, columns] of the three planes, as wide as their pixels are many."""
    images = []
    for name in PLANES:
        pixels, ratio = plane(volume, name, voxel_mm)
        size = (max(1, round(pixels.shape[0] * ratio)), pixels.shape[1])
        images.append(F.interpolate(torch.from_numpy(pixels.copy())[None, None], size=size)[0, 0])
    rows = max(len(image) for image in images)
    return torch.cat([F.pad(image, (0, 0, 0, rows - len(image))) for image in images], dim=1)


def name_edges(axes: Axes, letters: Sequence[str], colour: str = "gold") -> None:
    """Writes the patient's sides at the left, right, top and bottom edge of a panel.

    Args:
        axes: the panel.
        letters: the sides at its left, right, top and bottom edge, such as a Plane's edges.
        colour: of the letters.
    """
    box = {"boxstyle": "round,pad=0.1", "facecolor": "black", "edgecolor": "none", "alpha": 0.5}
    style: dict[str, Any] = {"color": colour, "fontsize": 9, "fontweight": "bold", "bbox": box}
    for (x, y, across, along), text in zip(_EDGES, letters):
        axes.text(x, y, text, transform=axes.transAxes, ha=across, va=along, **style)


def shortened(text: str, longest: int) -> str:
    """A text with its middle left out where it is long: names differ at their ends.

    Args:
        text: what to shorten.
        longest: number of characters that are allowed.
    """
    half = (longest - 1) // 2
    return text if len(text) <= longest else f"{text[:half]}…{text[-half:]}"


def comparison_figure(
    truth: np.ndarray,
    reconstructions: Mapping[str, np.ndarray],
    voxel_mm: Sequence[float],
    path: str | os.PathLike,
    data_range: float = 1.0,
    title: str = "",
    differences: bool = True,
) -> None:
    """Draws truth, reconstructions and their differences in three planes into one PNG.

    Args:
        truth: [x, y, z] volume in LPS order, 0 to data_range.
        reconstructions: volumes of the same shape by label.
        voxel_mm: voxel size (x, y, z).
        path: PNG file.
        data_range: range of the volumes, for the grey scale and the figures in the titles.
        title: heading.
        differences: draw each reconstruction's difference from the truth beside it.
    """
    canvas = require("matplotlib.backends.backend_agg", "matplotlib", "drawing")
    figures = require("matplotlib.figure", "matplotlib", "drawing")
    columns = 1 + (2 if differences else 1) * len(reconstructions)
    figure = figures.Figure(figsize=(2.6 * columns, 8.6), facecolor="black", layout="constrained")
    canvas.FigureCanvasAgg(figure)
    axes = figure.subplots(3, columns, squeeze=False)
    panels: list[tuple[np.ndarray, str, str, float, float]] = [(truth, "ground truth", "gray", 0.0, data_range)]
    for label, volume in reconstructions.items():
        scores = f"{psnr(volume, truth, data_range):.2f} dB, SSIM {ssim_3d(volume, truth, data_range):.3f}"
        panels.append((volume, f"{label}\n{scores}", "gray", 0.0, data_range))
        if differences:
            panels.append((volume - truth, "difference", "seismic", -0.5 * data_range, 0.5 * data_range))
    for row, name in enumerate(PLANES):
        for axis, (volume, caption, colours, low, high) in zip(axes[row], panels):
            image, ratio = plane(volume, name, voxel_mm)
            axis.imshow(image, cmap=colours, vmin=low, vmax=high, aspect=ratio, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            if row == 0:
                axis.set_title(caption, color="white", fontsize=9)
        axes[row][0].set_ylabel(name, color="white", fontsize=10)
    if title:
        figure.suptitle(title, color="white", fontsize=11)
    with atomic_path(Path(path)) as temporary:
        figure.savefig(temporary, dpi=110, format="png")

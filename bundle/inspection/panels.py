"""The panels of a contact sheet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bundle.geometry import ConeBeamGeometry
from bundle.inspection.contents import CaseContents
from bundle.scanners.field_of_view import field_of_view_mm
from bundle.visual import PLANES, name_edges, plane

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PLANES", "draw_geometry", "draw_histogram", "draw_plane", "draw_projection", "draw_sinogram", "side"]

MATERIALS = {"air": -1000.0, "fat": -100.0, "water": 0.0}
_LETTERS = ("RL", "AP", "FH")  # negative and positive end of x, y and z
_LEAST_SHARE = np.sin(np.pi / 8)  # directions nearer to an axis than to a diagonal have one letter


def side(vector: np.ndarray) -> str:
    """The patient's sides that a world vector points to, the main one first: "L", or "PR" between back and right."""
    order = np.argsort(-np.abs(vector), kind="stable")
    return "".join(_LETTERS[axis][int(vector[axis] > 0)] for axis in order if abs(vector[axis]) > _LEAST_SHARE)


def draw_plane(axes: Axes, contents: CaseContents, name: str) -> None:
    """A middle slice of the volume over its HU window."""
    image, ratio = plane(contents.volume, name, contents.geometry.voxel_mm)
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, aspect=ratio, interpolation="nearest")
    axes.set_title(f"{name}, {contents.hu_window[0]:g} to {contents.hu_window[1]:g} HU")
    _without_ticks(axes, PLANES[name].edges)


def draw_projection(axes: Axes, contents: CaseContents, which: int, high: float) -> None:
    """One projection as the source sees it, head at the top, from 0 to a largest value."""
    geometry, view = contents.geometry, contents.shown_views[which]
    upwards = geometry.row_direction() == "+z"
    height, width = (n * d for n, d in zip(geometry.detector_shape, geometry.pixel_mm))
    image = contents.projections[which] if upwards else contents.projections[which][::-1]
    extent = (-width / 2, width / 2, -height / 2, height / 2)
    axes.imshow(image, cmap="gray", origin="lower", extent=extent, vmin=0, vmax=high, interpolation="nearest")
    x, y = geometry.source_mm[view, :2]
    axes.set_title(f"view {view}, {np.rad2deg(np.arctan2(y, x)):.0f}°, 0 to {high:.2f}")
    to_right = geometry.u_axis[view]
    _without_ticks(axes, [side(-to_right), side(to_right), "H", "F"])


def draw_sinogram(axes: Axes, contents: CaseContents, high: float) -> None:
    """The central detector row of all views, the first view at the top."""
    axes.imshow(contents.sinogram, cmap="gray", aspect="auto", vmin=0, vmax=high, interpolation="nearest")
    axes.set(title="central detector row", xlabel="column", ylabel="view")


def draw_histogram(axes: Axes, contents: CaseContents) -> None:
    """How many voxels have which HU, and where air, fat and water are."""
    counts, edges = np.histogram(contents.hu, bins=128, range=contents.hu_window)
    axes.stairs(counts / contents.volume.size * 100, edges, fill=True, color="0.4")
    axes.set_yscale("log")
    low, high = contents.hu_window
    axes.set_xlim(low - 0.03 * (high - low), high + 0.03 * (high - low))
    axes.set_ylim(top=400)
    for (name, value), colour in zip(MATERIALS.items(), ("tab:blue", "tab:orange", "tab:green")):
        if low <= value <= high:
            axes.axvline(value, color=colour, lw=1.2, label=f"{name} {value:g}")
    axes.set(title="HU histogram", xlabel="HU", ylabel="% of the voxels")
    axes.locator_params(axis="x", nbins=5)
    axes.legend(loc="upper right", ncols=3, fontsize=7, handlelength=1, columnspacing=1)


def draw_geometry(axes: Axes, geometry: ConeBeamGeometry) -> None:
    """The scan as seen from the patient's feet: orbit, first view, volume and field of view, with their sizes."""
    source, centre = geometry.source_mm[0, :2], geometry.detector_centre_mm[0, :2]
    half_u = geometry.detector_shape[1] * geometry.pixel_mm[1] / 2
    ends = centre + np.outer([-half_u, half_u], geometry.u_axis[0, :2])
    axes.plot(*geometry.source_mm[:, :2].T, ".", color="0.75", ms=2)
    for end in ends:
        axes.plot(*np.stack([source, end], axis=1), color="tab:red", lw=0.7)
    axes.plot(*ends.T, color="tab:red", lw=3, solid_capstyle="butt")
    axes.plot(*source, "o", color="tab:red", ms=6)
    half = np.array(geometry.volume_size_mm[:2]) / 2
    corners = np.array([[-1, 1, 1, -1, -1], [-1, -1, 1, 1, -1]]) * half[:, None]
    axes.plot(*(corners + np.array(geometry.volume_centre_mm[:2])[:, None]), color="tab:blue", lw=1.2)
    radius, height = field_of_view_mm(geometry)
    turn = np.linspace(0, 2 * np.pi, 100)
    axes.plot(radius * np.cos(turn), radius * np.sin(turn), color="tab:green", lw=1, ls="--")
    axes.plot(0, 0, "k+", ms=6)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.set(xticks=[], yticks=[], frame_on=False, title="scan from the feet (front at the top)")
    axes.set_xlabel(_sizes(geometry, radius, height), fontsize=8, x=0.0, ha="left")


def _sizes(geometry: ConeBeamGeometry, radius: float, height: float) -> str:
    sod = float(np.median(np.linalg.norm(geometry.source_mm, axis=1)))
    to_detector = np.sum((geometry.detector_centre_mm - geometry.source_mm) * geometry.normal, axis=1)
    rows, columns = geometry.detector_shape
    angles = np.unwrap(np.arctan2(geometry.source_mm[:, 1], geometry.source_mm[:, 0]))
    step = np.abs(np.diff(angles)).mean() if len(angles) > 1 else 0.0
    lines = [
        f"SOD {sod:.6g} mm, SDD {np.median(np.abs(to_detector)):.6g} mm",
        f"{geometry.num_views} views, every {np.rad2deg(step):.3g}° over {np.rad2deg(np.ptp(angles) + step):.4g}°",
        f"detector {rows} x {columns} pixels (v x u) of {_by(geometry.pixel_mm)} mm",
        f"= {rows * geometry.pixel_mm[0]:.6g} x {columns * geometry.pixel_mm[1]:.6g} mm",
        f"volume {_by(geometry.volume_shape)} voxels of {_by(geometry.voxel_mm)} mm",
        f"= {_by(geometry.volume_size_mm)} mm (blue)",
        f"field of view: {2 * radius:.0f} mm wide, {height:.0f} mm high (green)",
    ]
    return "\n".join(lines)


def _by(numbers: tuple[float, ...]) -> str:
    return " x ".join(f"{number:.5g}" for number in numbers)


def _without_ticks(axes: Axes, sides: Sequence[str]) -> None:
    """Names the edges of a picture instead of counting its pixels."""
    name_edges(axes, sides)
    axes.set_xticks([])
    axes.set_yticks([])

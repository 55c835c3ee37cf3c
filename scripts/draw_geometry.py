"""Draws docs/geometry.png from the bundle's own geometry, phantom and projector.

Usage, from the repository's root: python -m scripts.draw_geometry [OUTPUT.png]
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bundle.geometry import ConeBeamGeometry
from bundle.phantoms import asymmetric_phantom, voxelise
from bundle.physics.attenuation import unit_integral_to_normalised
from bundle.presets import load_preset
from bundle.projector import ConeBeamProjector
from bundle.visual import plane

ANGLES_DEG = (0, 45, 90)
COLOURS = ("tab:red", "tab:purple", "tab:blue")
SIDES = (("right", "left"), ("front", "back"), ("feet", "head"))  # negative and positive end of x, y, z
BOX = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
CENTRED = {"ha": "center", "va": "center"}


def sides(vector: np.ndarray) -> str:
    """The patient's sides that a world vector points to, such as "left" or "right, front, feet"."""
    return ", ".join(SIDES[axis][int(vector[axis] > 0)] for axis in range(3) if abs(vector[axis]) > 1e-6)


def name_edges(axes: Axes, rightwards: np.ndarray, upwards: np.ndarray) -> None:
    """Writes the patient's sides along the panel's four edges, given the world vectors of its axes."""
    for x, y, vector, turn in (
        (0.96, 0.5, rightwards, 270),
        (0.04, 0.5, -rightwards, 90),
        (0.5, 0.96, upwards, 0),
        (0.5, 0.04, -upwards, 0),
    ):
        style = {"fontsize": 10, "fontweight": "bold", "bbox": BOX, "rotation": turn, **CENTRED}
        axes.text(x, y, sides(vector).upper(), transform=axes.transAxes, **style)


def arrow(axes: Axes, start: np.ndarray, end: np.ndarray, colour: str, style: str = "-|>", width: float = 1.8) -> None:
    """Draws an arrow between two points of the panel."""
    look = {"arrowstyle": style, "color": colour, "lw": width, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 14}
    axes.annotate("", xy=tuple(end), xytext=tuple(start), arrowprops=look)


def draw_distances(axes: Axes, scan: ConeBeamGeometry, heights: tuple[float, float]) -> None:
    """Draws dimension lines for SOD and SDD of view 0, which lies along x."""
    source, detector = scan.source_mm[0, 0], scan.detector_centre_mm[0, 0]
    for name, end, height in (("SOD", 0.0, heights[0]), ("SDD", detector, heights[1])):
        arrow(axes, np.array([end, height]), np.array([source, height]), "0.3", "<|-|>", 1.0)
        axes.text((source + end) / 2, height, f"{name} {source - end:.0f} mm", fontsize=10, bbox=BOX, **CENTRED)
        axes.plot([end, end], [0, height], color="0.6", lw=0.8, ls=":", zorder=0)
    axes.plot([source, source], [0, heights[1]], color="0.6", lw=0.8, ls=":", zorder=0)


def draw_slice(axes: Axes, volume: np.ndarray, scan: ConeBeamGeometry, name: str, shown: list[int]) -> None:
    """Draws a middle slice of the volume with its outline, both in world millimetres."""
    half_x, half_y = (scan.volume_size_mm[axis] / 2 for axis in shown)
    bottom = half_y if name == "axial" else -half_y
    image, _ = plane(volume, name, scan.voxel_mm)
    axes.imshow(image, cmap="gray_r", extent=(-half_x, half_x, bottom, -bottom), vmin=0, vmax=2)
    axes.plot(*(np.array([[-1, 1, 1, -1, -1], [-1, -1, 1, 1, -1]]) * [[half_x], [half_y]]), ls=":", color="0.4", lw=1)
    axes.plot(0, 0, "k+", ms=10, mew=2)
    axes.text(20, half_y + 40 if name == "axial" else -half_y - 40, "volume", fontsize=9, color="0.3", va="center")
    for marker in asymmetric_phantom(scan.volume_size_mm)[1:4]:
        in_plane = [marker.centre_mm[axis] for axis in shown]
        if any(in_plane):
            axes.text(*in_plane, sides(np.array(marker.centre_mm)), fontsize=8, bbox={**BOX, "alpha": 0.4}, **CENTRED)


def draw_view(axes: Axes, scan: ConeBeamGeometry, view: int, along: str, shown: list[int]) -> np.ndarray:
    """Draws one view's source, rays, detector and detector axis; returns the detector's ends, index 0 first."""
    index = "vu".index(along)
    direction = (scan.v_axis, scan.u_axis)[index][view][shown]
    source, centre = scan.source_mm[view][shown], scan.detector_centre_mm[view][shown]
    half_mm = scan.detector_shape[index] * scan.pixel_mm[index] / 2
    ends, colour, first = centre + np.outer([-half_mm, half_mm], direction), COLOURS[view], view == 0
    for end in (centre, *ends) if first else (centre,):
        axes.plot(*np.stack([source, end], axis=1), color=colour, lw=0.9, ls="-" if first else "--", alpha=0.7)
    axes.plot(*ends.T, color=colour, lw=5 if first else 3, alpha=1 if first else 0.6, solid_capstyle="butt")
    axes.plot(*source, "o", color=colour, ms=10)
    outward = source / np.linalg.norm(source)
    axes.text(*(source + 125 * outward), f"source\n{ANGLES_DEG[view]}°", color=colour, fontsize=11, **CENTRED)
    start = centre - 45 * outward
    arrow(axes, start, start + 190 * direction, colour)
    axes.text(*(start + 225 * direction), along, color=colour, fontsize=14, fontweight="bold", **CENTRED)
    return ends


def name_ends(axes: Axes, ends: np.ndarray, names: tuple[str, str]) -> None:
    """Names the first and last index of view 0's detector beyond its ends."""
    beyond = ends + 45 * np.sign(ends) * [0, 1]
    for position, name in zip(beyond, names):
        axes.text(*position, name, color=COLOURS[0], fontsize=9, **CENTRED)
    axes.text(ends[0, 0] + 35, ends[1, 1] / 2, "detector", color=COLOURS[0], fontsize=9, rotation=90, **CENTRED)


def draw_axial(axes: Axes, volume: np.ndarray, scan: ConeBeamGeometry, orbit_mm: np.ndarray) -> None:
    """The plane z = 0 from the feet: x to the right, y downwards."""
    draw_slice(axes, volume, scan, "axial", [0, 1])
    axes.plot(*orbit_mm[:, :2].T, color="0.6", lw=1.2, ls=":")
    for share in (0.3, 0.8):
        i = int(share * len(orbit_mm))
        arrow(axes, orbit_mm[i - 1, :2], orbit_mm[i, :2], "0.2", width=2.5)
    axes.text(*(1.08 * orbit_mm[i, :2]), "rotation", color="0.2", fontsize=10, **CENTRED)
    for view in range(scan.num_views):
        ends = draw_view(axes, scan, view, "u", [0, 1])
        if view == 0:
            name_ends(axes, ends, ("column 0", "column U - 1"))
    draw_distances(axes, scan, (-560, -640))
    axes.annotate("isocentre", (0, 0), (-195, -165), fontsize=9, arrowprops={"arrowstyle": "-", "lw": 0.8})
    axes.set(xlim=(-720, 1100), ylim=(1120, -800), xlabel="x (mm)", ylabel="y (mm), downwards")
    axes.set_title("Axial plane z = 0, seen from the patient's feet")
    name_edges(axes, np.array([1.0, 0, 0]), np.array([0, -1.0, 0]))


def draw_side(axes: Axes, volume: np.ndarray, scan: ConeBeamGeometry) -> None:
    """The plane y = 0 from the front: x to the right, z upwards."""
    draw_slice(axes, volume, scan, "coronal", [0, 2])
    arrow(axes, np.array([0.0, -330.0]), np.array([0.0, 400.0]), "k", width=1.2)
    axes.text(30, 360, "z, rotation axis", fontsize=10)
    name_ends(axes, draw_view(axes, scan, 0, "v", [0, 2]), ("row 0", "row V - 1"))
    draw_distances(axes, scan, (-450, -540))
    axes.set(xlim=(-720, 1100), ylim=(-700, 560), xlabel="x (mm)", ylabel="z (mm)")
    axes.set_title(f"Coronal plane y = 0, seen from the front\n(view at 0°, row direction {scan.row_direction()})")
    name_edges(axes, np.array([1.0, 0, 0]), np.array([0, 0, 1.0]))


def draw_projection(axes: Axes, image: np.ndarray, scan: ConeBeamGeometry, view: int) -> None:
    """One projection as the source sees it, u to the right and v upwards, its markers named."""
    half_v, half_u = (n * d / 2 for n, d in zip(scan.detector_shape, scan.pixel_mm))
    axes.imshow(image, cmap="gray", origin="lower", extent=(-half_u, half_u, -half_v, half_v))
    for marker in asymmetric_phantom(scan.volume_size_mm)[1:]:
        v, u = scan.project(np.array([marker.centre_mm]))[view, 0]
        axes.plot(u, v, "+", color="gold", ms=8, mew=2)
        box = {**BOX, "facecolor": "black", "alpha": 0.5}
        axes.text(u, v - 32, sides(np.array(marker.centre_mm)), color="gold", fontsize=8, bbox=box, **CENTRED)
    corner, length_mm = np.array([-280.0, -280.0]), 110.0
    for name, direction in (("u", np.array([1.0, 0.0])), ("v", np.array([0.0, 1.0]))):
        arrow(axes, corner, corner + length_mm * direction, "white")
        axes.text(*(corner + (length_mm + 22) * direction), name, color="white", fontweight="bold", **CENTRED)
    axes.set(xlabel="u (mm), columns", ylabel="v (mm), rows")
    axes.set_title(f"Projection at {ANGLES_DEG[view]}°,\nseen from the source", color=COLOURS[view])
    name_edges(axes, scan.u_axis[view], scan.v_axis[view])


def main(output: str = "docs/geometry.png") -> None:
    """Draws the axial plane, the coronal plane and two projections."""
    preset = load_preset("luna16", (96, 96), (96, 96, 96))
    scan = preset.geometry(np.deg2rad(ANGLES_DEG))
    volume = voxelise(asymmetric_phantom(scan.volume_size_mm), scan, 2)
    integrals = ConeBeamProjector(scan)(torch.from_numpy(volume)[None, None])[0]
    projections = unit_integral_to_normalised(integrals).numpy()

    figure = Figure(figsize=(12.2, 7.4), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 4, width_ratios=(1.25, 1.25, 1, 1), height_ratios=(1.3, 1))
    draw_axial(figure.add_subplot(grid[:, :2]), volume, scan, preset.geometry(np.linspace(0, np.pi / 2, 40)).source_mm)
    draw_side(figure.add_subplot(grid[0, 2:]), volume, scan)
    for column, view in ((2, 0), (3, 2)):
        draw_projection(figure.add_subplot(grid[1, column]), projections[view], scan, view)
    figure.savefig(output, dpi=130, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main(*sys.argv[1:])

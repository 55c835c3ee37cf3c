from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("matplotlib", reason="needs matplotlib")

from matplotlib.figure import Figure

from bundle.inspection.contents import CaseContents
from bundle.inspection.panels import draw_geometry, draw_histogram, draw_plane, draw_projection, side
from bundle.simulation import project_own_voxels

# A bright block to the patient's left, front and head.
BLOCK = np.s_[14:17, 3:6, 11:14]


def contents_of(scan, volume) -> CaseContents:
    geometry = scan.geometry(scan.candidate_angles_rad)
    unit = torch.from_numpy(volume)[None, None]
    projections = project_own_voxels(unit, geometry.select([0, 20]), scan.hu_window)[0].numpy()
    return CaseContents(volume, (-1000.0, 1000.0), geometry, (0, 20), projections, projections[:, 0], None, "x.mha")


@pytest.fixture
def block(scan) -> CaseContents:
    volume = np.zeros(scan.volume_shape, np.float32)
    volume[BLOCK] = 1.0
    return contents_of(scan, volume)


def letters_near(axes, x: float, y: float) -> set[str]:
    """Letters on the two edges that a position in the panel, in [0, 1] from its lower left, is nearer to."""
    wanted = (0.03 if x < 0.5 else 0.97, 0.5), (0.5, 0.03 if y < 0.5 else 0.97)
    return {text.get_text() for text in axes.texts if text.get_position() in wanted}


def brightest(axes) -> tuple[float, float]:
    """Position of the brightest pixel in the panel, in [0, 1] from its lower left."""
    (image,) = axes.images
    rows, columns = np.array(image.get_array().shape)
    row, column = np.argwhere(image.get_array() == image.get_array().max()).mean(axis=0)
    height = (row + 0.5) / rows
    return (column + 0.5) / columns, height if image.origin == "lower" else 1 - height


@pytest.mark.parametrize(
    ("name", "expected"), [("axial", {"L", "A"}), ("coronal", {"L", "H"}), ("sagittal", {"A", "H"})]
)
def test_letters_of_planes_are_where_the_block_is(scan, name, expected):
    volume = np.zeros(scan.volume_shape, np.float32)
    volume[BLOCK] = 1.0
    for axis in range(3):  # the planes are middle slices: smear the block through the axis that each cuts
        along = np.broadcast_to(volume.max(axis=axis, keepdims=True), volume.shape)
        if axis == {"axial": 2, "coronal": 1, "sagittal": 0}[name]:
            axes = Figure().add_subplot()
            draw_plane(axes, contents_of(scan, along.copy()), name)
            assert letters_near(axes, *brightest(axes)) == expected


@pytest.mark.parametrize("row_direction", ["+z", "-z"])
@pytest.mark.parametrize(("which", "expected"), [(0, {"A", "H"}), (1, {"L", "H"})])
def test_letters_of_projections_are_where_the_block_is(scan, row_direction, which, expected):
    volume = np.zeros(scan.volume_shape, np.float32)
    volume[BLOCK] = 1.0
    axes = Figure().add_subplot()
    draw_projection(axes, contents_of(replace(scan, row_direction=row_direction), volume), which, 1.0)
    assert letters_near(axes, *brightest(axes)) == expected


def test_sides_are_named_main_first():
    assert [side(np.array(v)) for v in ([1, 0, 0], [0, -1, 0], [0, 0, -1.0])] == ["L", "A", "F"]
    assert side(np.array([-0.6, 0.8, 0])) == "PR"
    assert side(np.array([-0.1, 0.995, 0])) == "P"


def test_histogram_has_every_voxel_in_its_bin(block):
    axes = Figure().add_subplot()
    draw_histogram(axes, block)
    (stairs,) = axes.patches
    values, edges, _ = stairs.get_data()
    share = 100 * 27 / block.volume.size
    assert values[[0, -1]] == pytest.approx([100 - share, share])
    assert values[1:-1].max() == 0
    assert (edges[0], edges[-1]) == (-1000, 1000)
    assert [line.get_xdata()[0] for line in axes.lines] == [-1000, -100, 0]


def test_materials_beyond_the_window_are_not_drawn(block):
    axes = Figure().add_subplot()
    draw_histogram(axes, replace(block, hu_window=(-500.0, 500.0)))
    assert [line.get_xdata()[0] for line in axes.lines] == [-100, 0]


def test_geometry_has_its_numbers(scan):
    axes = Figure().add_subplot()
    draw_geometry(axes, scan.geometry(scan.candidate_angles_rad))
    text = axes.get_xlabel()
    assert text.splitlines()[:6] == [
        "SOD 500 mm, SDD 800 mm",
        "40 views, every 4.5° over 180°",
        "detector 24 x 32 pixels (v x u) of 14 x 12 mm",
        "= 336 x 384 mm",
        "volume 20 x 18 x 16 voxels of 8 x 9 x 10 mm",
        "= 160 x 162 x 160 mm (blue)",
    ]
    diameter = 2 * 500 * np.sin(np.arctan(192 / 800))
    assert text.splitlines()[6] == f"field of view: {diameter:.0f} mm wide, 210 mm high (green)"


def test_geometry_of_a_single_view_is_drawn(scan):
    axes = Figure().add_subplot()
    draw_geometry(axes, scan.geometry([0.5]))
    assert "1 views, every 0° over 0°" in axes.get_xlabel()

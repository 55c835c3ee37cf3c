import math

import numpy as np
import pytest
import torch

from bundle.data.anatomy.canvas import Canvas, Paint
from bundle.data.anatomy.shapes import ellipsoid, tube
from bundle.data.anatomy.variation import Draw
from bundle.data.anatomy.vessels import Tubes, grow_tree, paint_tube_layers, paint_tubes, random_places, tube_distance


def test_axes_are_lps_millimetres_about_the_centre():
    canvas = Canvas((11, 21, 31), (2.0, 3.0, 1.0), centre_mm=(10, 20, 30))
    canvas.paint(ellipsoid((16, 20, 30), (2, 3, 1)), 0.0)
    assert [int(i) for i in np.unravel_index(int(canvas.hu.argmax()), canvas.shape)] == [8, 10, 15]


def test_anisotropic_voxels_keep_the_volume():
    canvas = Canvas((64, 40, 25), (1.5, 2.5, 4.0))
    canvas.paint(ellipsoid((3, -2, 1), (30, 30, 30)), 0.0)
    assert float((canvas.hu + 1000).sum() / 1000) * 15 == pytest.approx(4 / 3 * math.pi * 30**3, rel=0.01)


def test_thin_layers_keep_their_thickness_on_coarse_grids():
    totals = []
    for voxels, size in ((96, 1.0), (24, 4.0)):
        canvas = Canvas((voxels,) * 3, (size,) * 3)
        canvas.paint_layers(ellipsoid((0, 0, 0), (36, 36, 36)), [(0.0, 1000.0), (1.5, -1000.0)])
        totals.append(float((canvas.hu + 1000).sum()) * size**3)
    assert totals[1] == pytest.approx(totals[0], rel=0.1)


def test_where_holds_paint_to_a_region():
    canvas = Canvas((32,) * 3, (2.0,) * 3)
    canvas.mark("left", ellipsoid((20, 0, 0), (18, 18, 18)))
    canvas.paint(ellipsoid((0, 0, 0), (25, 25, 25)), 0.0, "left")
    assert canvas.hu[4:14].max() < -999
    assert canvas.hu[22, 16, 16] > -1


def test_turning_moves_left_towards_the_back():
    canvas = Canvas((33,) * 3, (2.0,) * 3)
    canvas.place((0, 0, 0), 90.0)
    canvas.paint(ellipsoid((20, 0, 0), (5, 5, 5)), 0.0)
    assert canvas.hu[16, 26, 16] > -1


def test_displacement_is_the_same_in_every_window():
    whole, part = Canvas((40,) * 3, (4.0,) * 3), Canvas((20,) * 3, (4.0,) * 3, centre_mm=(40, 40, 40))
    for canvas in (whole, part):
        canvas.displace(Draw(1, "test"), (5.0,), (50.0,))
        canvas.paint(ellipsoid((30, 30, 30), (25, 25, 25)), 0.0)
    assert torch.allclose(whole.hu[20:, 20:, 20:], part.hu, atol=0.1)
    assert not torch.allclose(whole.hu[20:, 20:, 20:].flip(0), part.hu, atol=1.0)


@pytest.mark.parametrize("turn", [0.0, 7.0])
def test_tubes_are_the_same_painted_together_or_as_a_shape(turn):
    line, radii = [(-40, -10, -30), (0, 15, 5), (35, 5, 40)], [9, 6, 4]
    canvas = Canvas((40,) * 3, (3.0,) * 3)
    canvas.place((0, 0, 0), turn)
    canvas.displace(Draw(2, "test"), (4.0, 1.0), (60.0, 20.0))
    box, distance = tube_distance(canvas, Tubes.polyline(line, radii))
    together = torch.zeros(canvas.shape)
    together[box] = canvas.coverage(distance)
    alone = canvas.coverage(tube(line, radii).distance(canvas.points()))
    assert torch.allclose(together, alone, atol=0.01)


def test_thin_tubes_keep_their_cross_section():
    for radius in (0.5, 1.0, 2.0, 4.0):
        canvas = Canvas((24, 24, 24), (3.0,) * 3)
        paint_tubes(canvas, Tubes.polyline([(0.7, -1.1, -100), (0.7, -1.1, 100)], radius), Paint(0.0))
        area = float((canvas.hu[:, :, 12] + 1000).sum() / 1000) * 9
        assert area == pytest.approx(math.pi * radius**2, rel=0.2)


def test_ribs_are_flat_shells_around_marrow():
    canvas = Canvas((40, 24, 32), (1.0,) * 3)
    rib = Tubes.polyline([(-40, 0, 0), (40, 0, 0)], 3.0).stretched(np.array([[0.0, 0.0, 4.0]]))
    paint_tube_layers(canvas, rib, [(0.0, 1000.0), (1.0, 100.0)])
    across, high = canvas.hu[20, :, 16], canvas.hu[20, 12, :]
    assert int((across > -400).sum()) == pytest.approx(6, abs=1)
    assert int((high > -400).sum()) == pytest.approx(14, abs=1)
    inside = canvas.hu[20, 11:13, 10:22]
    assert inside.max() < 300  # one marrow, not a row of them
    assert canvas.hu[20].max() > 700
    parts = Tubes.joined([rib, Tubes.polyline([(0, 0, 0), (0, 5, 0)], 1.0)]).cut(10.0).grown(0.5)
    assert parts.stretch.shape == parts.start.shape
    assert parts.stretch[-1].tolist() == [0, 0, 0]


def test_slabs_hold_each_voxel_once():
    canvas = Canvas((96, 96, 96), (1.0,) * 3)
    box = (slice(5, 90), slice(0, 96), slice(2, 96))
    rows = [list(range(part[0].start, part[0].stop)) for part, _ in canvas.slabs(box)]
    assert len(rows) > 1
    assert [row for part in rows for row in part] == list(range(5, 90))
    ball, whole = ellipsoid((0, 0, 0), (40, 40, 40)), Canvas((96, 96, 96), (1.0,) * 3)
    hu = canvas.points().x.expand(canvas.shape) + 0.0
    canvas.paint(ball, hu)
    whole.blend(box, whole.coverage(ball.distance(whole.points(box))), hu[box])
    assert torch.allclose(canvas.hu[box], whole.hu[box], atol=1e-3)


def test_trees_supply_all_places_and_taper():
    draw = Draw(0, "tree")
    places = random_places(ellipsoid((0, 0, 0), (40, 30, 50)), 200, draw)
    tree = grow_tree((0, 0, 60), places, draw, 6.0, 1.0)
    nearest = np.linalg.norm(tree.end[:, None] - places[None], axis=-1).min(axis=0)
    assert np.median(nearest) < 4
    assert tree.radius_start[0] <= 7.5
    assert tree.radius_end.min() == 1.0
    assert tree.radius_end[0] == tree.radius_end.max()

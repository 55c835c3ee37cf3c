import math

import pytest
import torch

from bundle.data.anatomy.canvas import Canvas
from bundle.data.anatomy.shapes import (
    Points,
    box,
    column,
    difference,
    ellipsoid,
    half_space,
    interpolate,
    intersection,
    offset,
    rotation,
    shell,
    smooth_union,
    superellipsoid,
    tube,
    union,
)

BALL = ellipsoid((5.0, -3.0, 2.0), (20.0, 20.0, 20.0))
HALF = [(0.0, 0.0, 0.0), (0.0, 0.0, 40.0)]


def volume_mm3(shape, voxels=64, voxel_mm=2.0):
    canvas = Canvas((voxels,) * 3, (voxel_mm,) * 3)
    canvas.paint(shape, 0.0)
    return float((canvas.hu + 1000).sum() / 1000) * voxel_mm**3


def distance(shape, *places):
    return shape.distance(Points.at(torch.tensor(places, dtype=torch.float32)))


VOLUMES = [
    (BALL, 4 / 3 * math.pi * 20**3),
    (ellipsoid((0, 0, 0), (40, 25, 15), rotation(20, 30, 40)), 4 / 3 * math.pi * 40 * 25 * 15),
    (box((0, 0, 0), (30, 20, 10), rotation(10, 20, 30)), 8 * 30 * 20 * 10),
    (superellipsoid((0, 0, 0), (30, 30, 30), 4.0), 8 * 30**3 * math.gamma(1.25) ** 3 / math.gamma(1.75)),
    (tube(HALF, [12, 12]), math.pi * 144 * 40 + 4 / 3 * math.pi * 12**3),
    (column([-40, 0, 40], [0] * 3, [0] * 3, [30] * 3, [20] * 3), math.pi * 30 * 20 * 80),
    (shell(BALL, 6.0), 4 / 3 * math.pi * (20**3 - 14**3)),
    (offset(BALL, 5.0), 4 / 3 * math.pi * 25**3),
    (difference(BALL, half_space((1, 0, 0), (5, 0, 0))), 2 / 3 * math.pi * 20**3),
    (intersection(BALL, half_space((0, 1, 0), (0, -3, 0))), 2 / 3 * math.pi * 20**3),
    (union(BALL, ellipsoid((-40, 0, 0), (10, 10, 10))), 4 / 3 * math.pi * (20**3 + 10**3)),
]


@pytest.mark.parametrize(("shape", "expected"), VOLUMES)
def test_volumes_are_those_of_closed_forms(shape, expected):
    assert volume_mm3(shape) == pytest.approx(expected, rel=0.015)


def test_distances_of_ball_box_tube_and_plane_are_exact():
    assert distance(BALL, (5, -3, 52), (5, -3, 12)).tolist() == pytest.approx([30, -10], abs=1e-3)
    corner = distance(box((0, 0, 0), (1, 2, 3)), (4, 6, 3), (0, 0, 0))
    assert corner.tolist() == pytest.approx([5, -1], abs=1e-4)
    tapered = distance(tube(HALF, [10, 20]), (30, 0, 20), (0, 0, -15))
    assert tapered.tolist() == pytest.approx([15, 5], abs=1e-3)
    assert distance(half_space((0, 0, 2), (0, 0, 7)), (1, 2, 10)).tolist() == pytest.approx([3])


def test_ellipsoid_distance_is_right_near_its_surface():
    shape = ellipsoid((0, 0, 0), (40, 20, 10))
    near = distance(shape, (41, 0, 0), (0, 19, 0), (0, 0, 11))
    assert near.tolist() == pytest.approx([1, -1, 1], abs=0.06)


def test_rotation_is_right_handed():
    shape = ellipsoid((0, 0, 0), (30, 5, 5), rotation(z_degrees=90))  # x turns to y
    assert distance(shape, (0, 29, 0))[0] < 0 < distance(shape, (29, 0, 0))[0]


def test_shapes_keep_within_their_bounds():
    for shape, _ in VOLUMES:
        low, high = torch.tensor(shape.low), torch.tensor(shape.high)
        outside = torch.cat([low + torch.eye(3) * -4 + 1e-3, high + torch.eye(3) * 4]).clamp(-500, 500)
        assert (shape.distance(Points.at(outside)) > 0).all()


def test_smooth_union_fills_the_seam_only():
    left, right = ellipsoid((-15, 0, 0), (15, 15, 15)), ellipsoid((15, 0, 0), (15, 15, 15))
    both = smooth_union(left, right, 10.0)
    assert distance(both, (0, 3, 0))[0] < distance(union(left, right), (0, 3, 0))[0]
    assert distance(both, (-35, 0, 0)).tolist() == pytest.approx([5], abs=1e-3)


def test_interpolation_passes_through_its_knots_and_is_constant_beyond():
    at = torch.tensor([-5.0, 0.0, 1.0, 3.0, 9.0])
    assert interpolate([0, 1, 3], [2.0, 5.0, 4.0], at).tolist() == pytest.approx([2, 2, 5, 4, 4])


def test_columns_have_their_own_depth_to_front_and_back():
    shape = column([-10, 10], [0, 0], [0, 0], [10, 10], [8, 8], [20, 20])
    assert distance(shape, (0, -9, 0))[0] > 0 > distance(shape, (0, 19, 0))[0]

import math

import pytest
import torch

from bundle.data.anatomy.canvas import Canvas, Paint
from bundle.data.anatomy.frame import Frame
from bundle.data.anatomy.limb.bones import femur
from bundle.data.anatomy.limb.extras import Extras, paint_implants, paint_lesions
from bundle.data.anatomy.limb.knee import paint_knee
from bundle.data.anatomy.limb.muscles import MUSCLES
from bundle.data.anatomy.limb.painting import Build, draw_build, paint_leg
from bundle.data.anatomy.muscles import paint_muscles
from bundle.data.anatomy.tissues import TISSUES, draw_palette
from bundle.data.anatomy.variation import Draw

ADULT = Build(False, (1.0, 1.0, 1.0), 1.0, 12.0, 1.0, 0.0, 1.8)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small grids are faster with one thread, above all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def knee(seed, shape=(56,) * 3, voxel_mm=(3.6,) * 3):
    canvas = Canvas(shape, voxel_mm)
    paint_knee(canvas, Draw(seed, "knee"))
    return canvas.hu


def leg(side, seed=4, centre=(0, 0, 0)):
    canvas = Canvas((64, 64, 64), (2.5, 2.5, 3.2), centre_mm=centre)
    palette = draw_palette(Draw(1, "test"), "native")
    paint_leg(Frame(canvas, (0, 0, 0), scale=(side, 1.0, 1.0)), ADULT, palette, Draw(seed, "leg"), other=True)
    return canvas


def at(canvas, *places):
    """Mean HU in a cube of 3 voxels around places in mm."""
    found = []
    for place in places:
        start = [round((p - c) / v + (n - 1) / 2) - 1 for p, c, v, n in
                 zip(place, canvas.centre_mm, canvas.voxel_mm, canvas.shape)]  # fmt: skip
        found.append(float(canvas.hu[tuple(slice(s, s + 3) for s in start)].mean()))
    return found


@pytest.fixture(scope="module")
def left():
    return leg(1)


@pytest.fixture(scope="module")
def right():
    return leg(-1)


def test_same_seed_same_volume():
    first = knee(1)
    assert torch.equal(first, knee(1))
    assert (first - knee(2)).abs().mean() > 50


def test_patella_in_front_and_fibula_outside(left, right):
    for canvas, side in ((left, 1), (right, -1)):
        places = ((0, -47, 36), (0, 44, 36), (side * 37, 20, -26), (-side * 37, 20, -26))
        patella, behind, fibula, inner = at(canvas, *places)
        assert patella > 150
        assert behind < 100
        assert fibula > 100
        assert inner < 80


def test_left_and_right_legs_are_mirror_images(left, right):
    bones = [(canvas.hu > 300).float() for canvas in (left, right)]
    overlap = (bones[0] * bones[1].flip(0)).sum() / bones[0].sum()
    assert overlap > 0.85
    assert (bones[0] * bones[1]).sum() / bones[0].sum() < 0.8


def test_hu_are_those_of_the_tissues(left):
    body = left.hu[left.regions["leg"] > 0.99]
    fat, muscle = body[(body > -140) & (body < -60)], body[(body > 20) & (body < 90)]
    assert abs(float(fat.median()) - TISSUES["fat"].hu) < 20
    assert abs(float(muscle.median()) - TISSUES["muscle"].hu) < 25
    high = Canvas((48, 48, 16), (2.0, 2.0, 3.0), centre_mm=(0, 0, 180))
    palette = draw_palette(Draw(1, "test"), "native")
    paint_leg(Frame(high, (0, 0, 0)), ADULT, palette, Draw(4, "leg"), other=True)
    assert 900 < high.hu.max() < 2000
    assert -150 < at(high, (2, -12, 180))[0] < 150  # marrow
    assert left.hu.min() >= -1000
    assert (left.hu[:4, :4] == -1000).all()


def test_a_fine_grid_shows_on_average_what_a_coarse_one_shows():
    fine, coarse = knee(3, (80,) * 3, (2.5,) * 3), knee(3, (40,) * 3, (5.0,) * 3)
    mean = fine.reshape(40, 2, 40, 2, 40, 2).mean(dim=(1, 3, 5))
    assert torch.corrcoef(torch.stack([mean.flatten(), coarse.flatten()]))[0, 1] > 0.97
    assert (mean - coarse).abs().mean() < 30


def test_anisotropic_voxels_show_the_same_leg():
    volumes = []
    for shape, voxel in (((48,) * 3, (4.2,) * 3), ((32, 48, 80), (6.3, 4.2, 2.52))):
        hu = knee(5, shape, voxel)
        volumes.append(float((hu > -500).sum()) * math.prod(voxel))
    assert volumes[0] == pytest.approx(volumes[1], rel=0.03)


def test_wide_fields_often_hold_two_legs():
    both = 0
    for seed in range(5):
        middle = (knee(seed, (32, 32, 8), (12.0, 12.0, 40.0)) > -300).any(dim=2).any(dim=1).int()
        both += int((middle.diff() == 1).sum()) + int(middle[0]) >= 2
    assert both >= 2


def test_muscles_keep_fat_planes_between_them():
    canvas = Canvas((60, 60, 4), (2.5, 2.5, 5.0), centre_mm=(0, 0, 170))
    canvas.hu.fill_(-100.0)
    box = (slice(0, 60), slice(0, 60), slice(0, 4))
    envelope = canvas.points(box).x.square() + canvas.points(box).y.square()
    envelope = envelope.sqrt().expand(60, 60, 4) - 60.0
    paint_muscles(
        canvas, box, envelope, list(MUSCLES.values()), Paint(50.0), Draw(1, "test"), slack_mm=10.0, gap_mm=4.0
    )
    inside = canvas.hu[envelope < -5]
    assert 0.5 < float((inside > 20).float().mean()) < 0.97
    assert float((inside < -60).float().mean()) > 0.02


@pytest.mark.parametrize("kind", ["prosthesis", "screws", "nail", "plate"])
def test_implants_are_metal(kind):
    canvas = Canvas((48, 48, 64), (2.5, 2.5, 3.0))
    palette = draw_palette(Draw(1, "test"), "native")
    paint_implants(
        Frame(canvas, (0, 0, 0)), Extras(0, 1, None, kind), {"femur": femur(Draw(1, "f"))}, palette, Draw(3, kind)
    )
    assert canvas.hu.max() > 2000


@pytest.mark.parametrize("place", ["thigh", "calf", "popliteal"])
def test_tumours_are_soft(place):
    canvas = Canvas((40, 40, 100), (4.0, 4.0, 4.0))
    canvas.hu.fill_(-100.0)
    palette = draw_palette(Draw(1, "test"), "native")
    paint_lesions(Frame(canvas, (0, 0, 0)), Extras(0, 1, place, None), palette, Draw(3, place))
    assert (canvas.hu > -50).sum() * 64 > 4000
    assert canvas.hu.median() == -100


def test_patients_differ():
    builds = [draw_build(Draw(seed, "build")) for seed in range(200)]
    fat = sorted(build.fat_mm for build in builds)
    assert fat[10] < 7
    assert fat[-10] > 25
    assert 5 < sum(build.child for build in builds) < 45

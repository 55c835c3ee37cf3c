import math

import numpy as np
import pytest
import torch

from bundle.data.anatomy.canvas import Canvas
from bundle.data.anatomy.frame import Bend, Frame, joint_distance
from bundle.data.anatomy.head.jaws import jaw_frame
from bundle.data.anatomy.head.painting import paint_head
from bundle.data.anatomy.head.plan import HINGE, draw_plan
from bundle.data.anatomy.head.skull import cranial_cavity
from bundle.data.anatomy.head.teeth import Dentition, draw_dentition, paint_teeth
from bundle.data.anatomy.shapes import ellipsoid, rotation, union
from bundle.data.anatomy.solids import barrel, blob, hinged, ribbon, symmetric
from bundle.data.anatomy.tissues import TISSUES, draw_palette
from bundle.data.anatomy.variation import Draw
from bundle.data.anatomy.vessels import Tubes

DENTAL = ((64, 64, 32), (2.17, 2.17, 1.67))


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small grids are faster with one thread, above all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def head(seed, shape, voxel_mm):
    canvas = Canvas(shape, voxel_mm)
    canvas.with_surroundings = False
    paint_head(canvas, Draw(seed, "head"))
    return canvas


@pytest.fixture(scope="module")
def wide():
    return head(3, (64,) * 3, (4.0,) * 3)


@pytest.fixture(scope="module")
def dental():
    return [head(seed, *DENTAL) for seed in range(3)]


def test_same_seed_same_volume(dental):
    assert torch.equal(dental[1].hu, head(1, *DENTAL).hu)
    assert (dental[0].hu - dental[1].hu).abs().mean() > 50
    assert all(torch.isfinite(canvas.hu).all() for canvas in dental)


def test_face_is_in_front(wide, dental):
    """Air inside the head (nose, sinuses, throat) lies in front of the brain, and teeth in front of the spine."""
    cavity = wide.regions["cavity"] > 0.9
    air = (wide.regions["head"] > 0.99) & (wide.hu < -800)
    y = torch.arange(64.0)[None, :, None]
    middle = [float((y * part).sum() / part.sum()) for part in (air.float(), cavity.float())]
    assert middle[0] < middle[1] - 5
    for canvas in dental:
        teeth, body = (canvas.hu > 1700).float(), (canvas.hu > -500).float()
        assert (y * teeth).sum() / teeth.sum() < (y * body).sum() / body.sum() - 8


def test_head_is_up(wide):
    bone, z = wide.regions["cavity"], torch.arange(64.0)
    shoulders = (wide.hu > -500).float()
    assert (z * bone).sum() / bone.sum() > (z * shoulders).sum() / shoulders.sum()


@pytest.mark.parametrize("jaw", ["upper", "lower"])
def test_teeth_are_mirrored_and_missing_ones_leave_their_side(jaw):
    palette = draw_palette(Draw(1, "test"), "native")
    states = {(jaw, side, n): "sound" if side == 1 or n < 5 else "missing" for side in (1, -1) for n in range(8)}
    canvas = Canvas((90, 70, 50), (1.0, 1.0, 1.0), centre_mm=(0, -70, -50))
    paint_teeth(Frame(canvas, (0, 0, 0)), jaw, 1.0, Dentition(states), palette, Draw(2, "test"))
    hard = canvas.hu > 1000
    left, right = int(hard[45:].sum()), int(hard[:45].sum())
    assert 0.3 < right / left < 0.7
    front = canvas.hu[:, :20]
    assert int((front[45:] > 1000).sum()) == pytest.approx(int((front[:45] > 1000).sum()), rel=0.2)
    assert canvas.hu.max() > 1900


def test_children_have_no_wisdom_teeth():
    for seed in range(5):
        states = draw_dentition(Draw(seed, "test"), child=True).states
        assert all(states[jaw, side, 7] in ("missing", "implant") for jaw in ("upper", "lower") for side in (1, -1))


def test_a_frame_keeps_orientation():
    """A marker to the left, front and top of a part lands there on the grid."""
    canvas = Canvas((50, 40, 60), (2.0, 2.5, 1.5))
    frame = Frame(canvas, (4, -3, 2), rotation(8, -5, 12), (1.1, 0.9, 1.0), Bend((-40, 0, 40), (3, 0, 0), (-4, 0, 0)))
    frame.paint(blob((25, -15, 18), (6, 6, 6)), 500.0)
    place = frame.to_canvas(np.array([[25.0, -15.0, 18.0]]))[0]
    found = (canvas.hu > 0).nonzero().float().mean(0)
    expected = [p / v + (n - 1) / 2 for p, v, n in zip(place, canvas.voxel_mm, canvas.shape)]
    assert found.tolist() == pytest.approx(expected, abs=0.6)
    assert found[0] > 30
    assert found[1] < 16
    assert found[2] > 36
    frame.paint_tubes(Tubes.polyline([(-20, 10, -30), (-20, 10, -10)], 4.0), 900.0)
    low = frame.to_canvas(np.array([[-20.0, 10.0, -20.0]]))[0]
    at = [round(p / v + (n - 1) / 2) for p, v, n in zip(low, canvas.voxel_mm, canvas.shape)]
    assert canvas.hu[tuple(at)] > 800


def test_joint_distance_is_that_of_the_union():
    canvas = Canvas((40,) * 3, (2.0,) * 3)
    parts = [ellipsoid((-10, 0, 0), (15, 12, 9)), ellipsoid((12, 5, 0), (10, 14, 9))]
    whole = (slice(0, 40),) * 3
    joined, direct = joint_distance(canvas, whole, [(p, 0.0) for p in parts]), union(*parts).distance(canvas.points())
    near = direct < 3
    assert torch.allclose(joined[near], direct[near], atol=1e-4)
    assert torch.equal(joined < 0, direct < 0)


@pytest.mark.parametrize(
    "shape",
    [
        ribbon([(0, 0, 0), (12, 3, 0)], [3, 4], [9, 8], 2),
        barrel((-10, 0, 10), (0, 1, 0), (9, 11, 8), (8, 8, 8), (10, 10, 10)),
        hinged(blob((5, -10, 3), (6, 9, 5)), (0, 5, 0), 30.0),
        symmetric(blob((12, 0, 0), (6, 8, 5))),
    ],
)
def test_solids_have_unit_slope_at_their_surface_and_hold_their_bounds(shape):
    canvas = Canvas((80,) * 3, (0.6,) * 3)
    distance = shape.distance(canvas.points())
    slope = torch.stack([g[1:-1, 1:-1, 1:-1] for g in torch.gradient(distance, spacing=0.6)]).norm(dim=0)
    near = distance[1:-1, 1:-1, 1:-1].abs() < 0.5
    assert 0.6 < slope[near].mean() < 1.4
    inside = torch.nonzero(distance < -0.1)
    for axis in range(3):
        values = canvas.axes[axis][inside[:, axis]]
        assert values.min() >= shape.low[axis] - 0.1
        assert values.max() <= shape.high[axis] + 0.1


def test_the_mouth_opens_downwards_about_its_hinge():
    plan = draw_plan(Draw(1, "test"))
    plan = type(plan)(**{**plan.__dict__, "open_degrees": 15.0})
    frame = Frame(Canvas((4,) * 3, (2.0,) * 3), (0, 0, 0))
    chin, hinge = jaw_frame(frame, plan).to_canvas(np.array([(0.0, -88.0, -82.0), HINGE]))
    assert hinge.tolist() == pytest.approx(HINGE, abs=1e-9)
    assert chin[2] < -95


def test_hu_are_those_of_the_tissues(wide, dental):
    brain = wide.hu[(wide.regions["cavity"] > 0.99)]
    assert TISSUES["white_matter"].hu - 10 < brain.median() < TISSUES["grey_matter"].hu + 12
    skull = wide.hu[18:46, :, 34:]
    assert 800 < torch.quantile(skull[skull > 200], 0.95) < 2200
    for canvas in dental:
        inside = canvas.hu[canvas.regions["head"] > 0.99]
        assert (inside < -900).any()  # throat or mouth
        assert (inside > 1500).any()  # teeth and jaws
        soft = inside[(inside > -200) & (inside < 120)]
        assert 20 < soft.median() < 80
    outside = wide.hu[(wide.regions["head"] == 0)]
    assert outside.min() == -1000


def test_the_cavity_holds_a_brain():
    plan = draw_plan(Draw(2, "test"))
    canvas = Canvas((50, 60, 50), (4.0, 4.0, 4.0), centre_mm=(0, 0, 40))
    cranium = cranial_cavity(Frame(canvas, (0, 0, 0)), plan)
    litres = float((cranium.inner < 0).sum()) * 64e-6
    assert 1.1 < litres < 2.0  # 1.2 to 1.7 in adults
    assert cranial_cavity(Frame(Canvas((8,) * 3, (4.0,) * 3, centre_mm=(0, 0, -150)), (0, 0, 0)), plan) is None


def test_a_fine_grid_shows_on_average_what_a_coarse_one_shows():
    fine, coarse = head(5, (80,) * 3, (3.2,) * 3).hu, head(5, (40,) * 3, (6.4,) * 3).hu
    mean = fine.reshape(40, 2, 40, 2, 40, 2).mean(dim=(1, 3, 5))
    both = torch.stack([mean.flatten(), coarse.flatten()])
    assert torch.corrcoef(both)[0, 1] > 0.97
    assert (mean - coarse).abs().mean() < 40


def test_anisotropic_voxels_show_the_same_body():
    volumes = []
    for shape, voxel in (((48, 48, 48), (5.0, 5.0, 5.0)), ((48, 32, 80), (5.0, 7.5, 3.0))):
        hu = head(7, shape, voxel).hu
        volumes.append([float((hu > limit).sum()) * math.prod(voxel) for limit in (-500, 300)])
    assert volumes[0][0] == pytest.approx(volumes[1][0], rel=0.03)
    assert volumes[0][1] == pytest.approx(volumes[1][1], rel=0.2)

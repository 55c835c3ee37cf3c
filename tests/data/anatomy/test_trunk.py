import numpy as np
import pytest
import torch

from bundle.data.anatomy import ANATOMIES, generate_anatomy
from bundle.data.anatomy.canvas import Canvas
from bundle.data.anatomy.surroundings import cut_field, paint_cables, paint_couch
from bundle.data.anatomy.tissues import TISSUES, draw_palette
from bundle.data.anatomy.trunk.frame import draw_frame
from bundle.data.anatomy.trunk.metal import _hip, _pacemaker, _screws, _wires
from bundle.data.anatomy.trunk.painting import paint_trunk
from bundle.data.anatomy.trunk.thorax import _bronchi, draw_thorax, hilum, lung_shape, paint_lungs
from bundle.data.anatomy.variation import Draw
from bundle.data.anatomy.vessels import grow_tree, random_places
from bundle.errors import InputError

TRUNK = ("chest", "abdomen", "pelvis")


def body(seed, part, voxels=48, voxel_mm=8.0, centre=None):
    canvas = Canvas((voxels,) * 3, (voxel_mm,) * 3)
    canvas.with_surroundings = False
    frame = paint_trunk(canvas, Draw(seed, part), part, centre)
    return canvas, frame


@pytest.fixture(scope="module")
def chest():
    return body(3, "chest", 64, 6.0)


@pytest.fixture(scope="module")
def abdomen():
    return body(3, "abdomen", 64, 6.0)


def hu_at(canvas, place, reach=1):
    index = [round((p - float(a[0])) / v) for p, a, v in zip(place, canvas.axes, canvas.voxel_mm)]
    return canvas.hu[tuple(slice(i - reach, i + reach + 1) for i in index)]


def test_heart_lies_left_and_lungs_on_both_sides(chest):
    canvas, frame = chest
    heart = draw_thorax(frame, Draw(3, "chest")).heart
    assert heart[0] > 5
    assert hu_at(canvas, heart).mean() > 0
    for side in (-1, 1):
        lung = hu_at(canvas, frame.at(side * 85, 20, 330))
        assert -960 < lung.median() < -600
    lung = canvas.regions["lung"]
    middle = canvas.points().x > frame.spine(320)[0]
    left, right = float(lung[middle].sum()), float(lung[~middle].sum())
    assert 0.75 < left / right < 0.99  # the heart leaves less room on the left


def test_liver_lies_right_spine_behind_lungs_above(abdomen):
    canvas, frame = abdomen
    right, left = hu_at(canvas, frame.at(-85, 5, 195)), hu_at(canvas, frame.at(85, -20, 60))
    assert right.mean() > left.mean() - 40
    assert right.mean() > 0
    bone = (canvas.hu > 200).float()
    slab = bone[:, :, 20:44]
    behind = float((slab.sum(dim=(0, 2)) * canvas.axes[1]).sum() / slab.sum())
    whole = canvas.regions["body"][:, :, 20:44]
    middle = float((whole.sum(dim=(0, 2)) * canvas.axes[1]).sum() / whole.sum())
    assert behind > middle
    lung = canvas.regions["lung"].sum(dim=(0, 1))
    assert lung[-8:].sum() > lung[:32].sum()


@pytest.mark.parametrize("part", TRUNK)
def test_seeds_decide_everything(part):
    first = generate_anatomy(part, 5, (24,) * 3, (16.0,) * 3)
    assert first.shape == (24, 24, 24)
    assert first.dtype == torch.float32
    assert torch.isfinite(first).all()
    assert first.min() >= -1024
    assert torch.equal(first, generate_anatomy(part, 5, (24,) * 3, (16.0,) * 3))
    assert (first - generate_anatomy(part, 6, (24,) * 3, (16.0,) * 3)).abs().mean() > 30
    assert part in ANATOMIES


@pytest.mark.parametrize("part", TRUNK)
def test_coarse_grids_show_the_mean_of_fine_ones(part):
    fine, _ = body(11, part, 96, 4.0)
    coarse, _ = body(11, part, 48, 8.0)
    mean = torch.nn.functional.avg_pool3d(fine.hu[None, None], 2)[0, 0]
    assert (mean - coarse.hu).abs().mean() < 25
    assert torch.corrcoef(torch.stack([mean.flatten(), coarse.hu.flatten()]))[0, 1] > 0.99


@pytest.mark.parametrize("part", ["chest", "head"])
def test_items_painted_finer_and_averaged_agree(part):
    """With couch, textures and noise: what differs is noise and the partial volume of edges."""
    fine = generate_anatomy(part, 2, (128,) * 3, (3.2,) * 3)
    coarse = generate_anatomy(part, 2, (64,) * 3, (6.4,) * 3)
    mean = torch.nn.functional.avg_pool3d(fine[None, None], 2)[0, 0]
    difference = (mean - coarse).abs()
    assert difference.mean() < 25
    assert (difference > 150).float().mean() < 0.04
    assert torch.corrcoef(torch.stack([mean.flatten(), coarse.flatten()]))[0, 1] > 0.99
    assert abs(float(mean.mean() - coarse.mean())) < 5


def test_windows_show_the_same_body():
    low, _ = body(4, "chest", 40, 8.0, (0.0, 0.0, 200.0))
    high, _ = body(4, "chest", 40, 8.0, (0.0, 0.0, 360.0))
    assert (low.hu[:, :, 20:] - high.hu[:, :, :20]).abs().mean() < 1.0


def test_hu_keep_to_the_table(abdomen, chest):
    canvas, frame = abdomen
    liver = hu_at(canvas, frame.at(-85, 5, 195)).median()
    tissue = TISSUES["liver"]
    assert tissue.limits[0] < liver < tissue.limits[1] + 30
    fat = canvas.hu[(canvas.regions["body_depth"] > 8) & (canvas.regions["body_depth"] < 10)]
    assert -125 < fat.median() < -70 or frame.fat_mm < 14
    outside = chest[0].hu[chest[0].regions["body"] == 0]
    assert torch.all(outside == -1000)


def test_anisotropic_voxels_show_the_same_body():
    cube = generate_anatomy("chest", 8, (48, 48, 48), (8.0, 8.0, 8.0), surroundings=False)
    flat = generate_anatomy("chest", 8, (48, 48, 96), (8.0, 8.0, 4.0), surroundings=False)
    assert (flat.reshape(48, 48, 48, 2).mean(-1) - cube).abs().mean() < 25


def test_frames_vary_as_people_do():
    frames = [draw_frame(Draw(seed, "chest"), "chest") for seed in range(200)]
    assert 0.35 < sum(f.female for f in frames) / 200 < 0.65
    assert min(f.fat_mm for f in frames) < 9
    assert max(f.fat_mm for f in frames) > 45
    assert {f.arms for f in frames} == {"up", "down", "away"}
    assert min(f.scale for f in frames) < 0.7 < 1.0 < max(f.scale for f in frames)


def test_surroundings_stay_outside_the_body():
    canvas, _ = body(3, "abdomen")
    inside = canvas.regions["body"] > 0.99
    before = canvas.hu.clone()
    paint_couch(canvas, Draw(1, "couch"), 1 - canvas.regions["body"])
    changed = (canvas.hu - before).abs() > 20
    assert changed.sum() > 500
    assert not (changed & inside).any()
    assert canvas.axes[1][changed.any(dim=2).any(dim=0)].min() > 0  # behind the patient
    paint_cables(canvas, Draw(1, "cables"), 1 - canvas.regions["body"])
    assert (canvas.hu - before)[:, :20].max() > 20


def test_cut_fields_are_air_outside():
    for seed in range(6):
        canvas = Canvas((20,) * 3, (10.0,) * 3)
        canvas.hu.fill_(50.0)
        cut_field(canvas, Draw(seed, "cut"))
        assert canvas.hu.min() == -1000
        assert canvas.hu[10, 10, 10] == 50


def test_vessels_branch_into_the_lungs_periphery():
    frame = draw_frame(Draw(3, "chest"), "chest")
    thorax = draw_thorax(frame, Draw(3, "chest"))
    root = np.array(hilum(frame, thorax, 1))
    canvas = Canvas((64, 96, 96), (2.0,) * 3, centre_mm=frame.at(80, 10, 325))
    canvas.regions["body"] = torch.ones(canvas.shape)
    palette = draw_palette(Draw(3, "chest"), "native")
    paint_lungs(canvas, frame, thorax, palette, Draw(3, "chest"))
    depth = -lung_shape(frame, thorax, 1).distance(canvas.points())
    points = canvas.points()
    away = sum((p - o) ** 2 for p, o in zip((points.x, points.y, points.z), root)).sqrt()
    bright = canvas.hu > palette["lung"].hu + 120
    solid = canvas.hu > -300
    near, far = (depth > 8) & (away < 50), (depth > 8) & (depth < 20) & (away > 70)
    assert bright[far].float().mean() > 0.01  # vessels reach the pleura ...
    assert solid[near].float().mean() > 3 * solid[far].float().mean()  # ... and are thick at the hilum only
    assert bright[near].float().mean() > bright[far].float().mean()


def test_bronchi_run_beside_their_arteries():
    frame = draw_frame(Draw(3, "chest"), "chest")
    thorax = draw_thorax(frame, Draw(3, "chest"))
    root, draw = hilum(frame, thorax, 1), Draw(0, "tree")
    arteries = grow_tree(root, random_places(lung_shape(frame, thorax, 1), 300, draw, 2.5), draw, 7.0, 0.3, murray=2.8)
    bronchi = _bronchi(arteries, root, 1, 0.75, 1.3)
    assert 10 < len(bronchi.start) < len(arteries.start) / 2  # only the larger ones are seen
    assert bronchi.radius_end.min() >= 1.3
    apart = np.linalg.norm(bronchi.end[:, None] - arteries.end[None], axis=-1).min(axis=1)
    assert (apart[1:] < 4 * bronchi.radius_end[1:]).all()


def test_couches_have_shells_and_foam():
    for seed in range(12):
        canvas = Canvas((128, 96, 4), (4.0, 2.0, 4.0))
        canvas.support_mm = 0.0
        paint_couch(canvas, Draw(seed, "couch"), torch.ones(canvas.shape))
        column = canvas.hu[64, :, 2]
        assert column.max() > -880  # shell
        assert canvas.hu[52:76, :40].max() < -990  # nothing in front; a trough's edges may be higher
        assert torch.isfinite(canvas.hu).all()


def test_metal_is_bright():
    palette = draw_palette(Draw(0, "x"), "native")
    frame = draw_frame(Draw(0, "chest"), "chest")
    thorax = draw_thorax(frame, Draw(0, "chest"))
    for paint in (
        lambda c: _screws(c, frame, palette, Draw(0, "s")),
        lambda c: _hip(c, frame, palette, Draw(0, "h")),
        lambda c: _wires(c, frame, palette),
        lambda c: _pacemaker(c, frame, thorax, palette),
    ):
        canvas = Canvas((48,) * 3, (14.0,) * 3, centre_mm=(0, 0, 150))
        paint(canvas)
        assert canvas.hu.max() > -950


def test_wrong_arguments_are_refused():
    with pytest.raises(InputError, match="anatomy"):
        generate_anatomy("tail", 0, (8, 8, 8), (1, 1, 1))
    with pytest.raises(InputError, match="shape"):
        generate_anatomy("chest", 0, (8, 8), (1, 1, 1))
    with pytest.raises(InputError, match="voxel_mm"):
        generate_anatomy("chest", 0, (8, 8, 8), (1, 0, 1))

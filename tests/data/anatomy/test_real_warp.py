"""Where a warp moves things, proven on the asymmetric phantom with anisotropic voxels."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from bundle.data.anatomy.real.warp import Placement, Warp, pull_map, resample_hu, resample_labels, sampling_grid
from bundle.data.anatomy.variation import Draw
from bundle.errors import InputError

IDENTITY = Placement(((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)), (0.0, 0.0, 0.0), 0.0, (), False)


@pytest.fixture
def hu(phantom):
    return torch.from_numpy(phantom)[None] * 2000 - 1000


def warped(volume, voxel_mm, placement, shape=None, new_mm=None):
    places = pull_map(placement, shape or volume.shape[1:], new_mm or voxel_mm)
    return resample_hu(volume, sampling_grid(places, volume.shape[1:], voxel_mm))


def test_no_warp_is_the_identity(scan, hu):
    placement = Warp.none().draw(Draw(3, "test"), (50.0, 50.0, 50.0))
    assert not placement.mirrored
    torch.testing.assert_close(warped(hu, scan.voxel_mm, placement), hu, atol=0.05, rtol=0)


@pytest.mark.parametrize(("axis", "voxels"), [(0, 2), (1, -3), (2, 1)])
def test_translation_moves_by_its_mm_along_its_axis(scan, hu, axis, voxels):
    shift = [0.0, 0.0, 0.0]
    shift[axis] = voxels * scan.voxel_mm[axis]
    moved = warped(hu, scan.voxel_mm, dataclasses.replace(IDENTITY, shift_mm=tuple(shift)))
    expected = hu.roll(voxels, axis + 1)
    left_behind = slice(0, voxels) if voxels > 0 else slice(voxels, None)
    expected.select(0, 0).movedim(axis, 0)[left_behind] = -1000.0
    torch.testing.assert_close(moved, expected, atol=0.05, rtol=0)


def test_mirroring_exchanges_left_and_right_alone(scan, hu):
    always = dataclasses.replace(Warp.none(), mirror=1.0)
    placement = always.draw(Draw(0, "test"))
    assert placement.mirrored
    moved = warped(hu, scan.voxel_mm, placement)
    torch.testing.assert_close(moved, hu.flip(1), atol=0.05, rtol=0)
    assert (moved - hu).abs().max() > 500


def test_rotation_about_z_turns_x_towards_y(scan):
    """A point 40 mm to the left comes to lie 40 mm to the back after 90 degrees, on voxels of 8 x 10 x 10 mm."""
    volume = torch.full((1, 21, 17, 5), -1000.0)
    volume[0, 15, 8, 2] = 1000.0  # 5 voxels of 8 mm to the left of the centre
    quarter = dataclasses.replace(IDENTITY, linear=((0.0, -1.0, 0), (1.0, 0.0, 0), (0, 0, 1.0)))
    moved = warped(volume, (8.0, 10.0, 10.0), quarter)[0]
    assert moved[10, 12, 2] == pytest.approx(1000.0, abs=0.1)
    assert int((moved > 0).sum()) == 1
    turned = dataclasses.replace(Warp.none(), rotation_degrees=(0.0, 0.0, 30.0)).draw(Draw(1, "test"))
    assert torch.linalg.det(torch.tensor(turned.linear)).item() == pytest.approx(1.0)


def test_another_grid_shows_the_same_place(scan, hu):
    """The centre stays at the centre, and mm stay mm, on a finer grid of another shape."""
    new_mm = (4.0, 4.5, 5.0)
    fine = warped(hu, scan.voxel_mm, IDENTITY, (41, 37, 33), new_mm)
    # voxel i of 20 lies at (i - 9.5) * 8 mm, voxel j of 41 at (j - 20) * 4 mm: i = 12 is j = 25
    torch.testing.assert_close(fine[0, 25, 21, 16], (hu[0, 12, 10, 7:9]).mean(), atol=0.05, rtol=0)
    assert (warped(hu, scan.voxel_mm, IDENTITY, (60, 18, 16), scan.voxel_mm)[0, :19] == -1000).all()


def test_elastic_displacement_keeps_flat_regions_and_its_limit(scan):
    warp = dataclasses.replace(Warp.none(), elastic_mm=15.0)
    placement = warp.draw(Draw(5, "test"))
    places = pull_map(placement, (40, 36, 32), (4.0, 5.0, 6.0))
    still = pull_map(dataclasses.replace(placement, elastic_mm=0.0), (40, 36, 32), (4.0, 5.0, 6.0))
    moves = [(a - b).abs().max().item() for a, b in zip(places, still)]
    assert all(1.0 < move <= 15.0 for move in moves)
    flat = torch.full((1, 60, 60, 60), 37.0)  # larger than the field, so that no air comes in
    out = resample_hu(flat, sampling_grid(places, (60, 60, 60), (6.0, 6.0, 8.0)))
    torch.testing.assert_close(out, torch.full_like(out, 37.0), atol=0.01, rtol=0)
    # the map does not fold: neighbours stay in order
    assert all((place.diff(dim=axis) > 0).all() for axis, place in enumerate(places))


def test_labels_move_with_the_ct(scan, hu):
    labels = (hu > 300).int() * 117
    placement = dataclasses.replace(Warp(), roam=0.0).draw(Draw(2, "test"))
    places = pull_map(placement, hu.shape[1:], scan.voxel_mm)
    grid = sampling_grid(places, hu.shape[1:], scan.voxel_mm)
    moved, found = resample_hu(hu, grid), resample_labels(labels, grid)
    assert set(found.unique().tolist()) == {0, 117}
    assert moved[found == 117].mean() > 200 > moved[found == 0].mean()


def test_impossible_scales_are_refused():
    with pytest.raises(InputError, match="stretch"):
        Warp(scale=(0.0, 1.0))


def test_field_roams_over_a_longer_ct():
    shifts = [
        dataclasses.replace(Warp.none(), roam=1.0).draw(Draw(s, "test"), (0.0, -9.0, 100.0)).shift_mm for s in range(40)
    ]
    assert all(x == y == 0 for x, y, _ in shifts)
    along = [z for _, _, z in shifts]
    assert -50 <= min(along) < -30
    assert 30 < max(along) <= 50

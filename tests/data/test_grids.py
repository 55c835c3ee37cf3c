from __future__ import annotations

import numpy as np
import pytest

from bundle.data.grids import check_same_grid, on_grid, read_volume, same_grid
from bundle.errors import InputError
from tests.evaluation.volumes import AFFINE_RAS, SHAPE, chest, save


def ramp(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A volume that is linear in RAS mm, so that linear resampling is exact."""
    index = np.indices(shape).reshape(3, -1)
    ras = affine[:3, :3] @ index + affine[:3, 3:]
    return (0.5 * ras[0] - 1.25 * ras[1] + 0.75 * ras[2]).reshape(shape).astype(np.float32)


@pytest.mark.parametrize("axcodes", ["LPS", "RAS", "SRA"])
def test_volumes_are_brought_to_a_grid_by_their_place_in_the_patient(tmp_path, axcodes):
    path = save(chest(), tmp_path / "volume.nii.gz", axcodes)
    grid = np.zeros(SHAPE, np.float32), AFFINE_RAS
    found = read_volume(path)
    assert same_grid(found, grid) == (axcodes == "LPS")
    np.testing.assert_allclose(on_grid(found, grid), chest(), atol=1e-3)


def test_other_voxel_sizes_and_offsets_are_interpolated_between_voxel_centres():
    fine = AFFINE_RAS @ np.diag([0.5, 0.4, 0.8, 1.0])
    fine[:3, 3] += (-30.0, -35.0, 40.0)
    shape = (20, 21, 12)
    resampled = on_grid((ramp(AFFINE_RAS, SHAPE), AFFINE_RAS), (np.zeros(shape), fine))
    np.testing.assert_allclose(resampled, ramp(fine, shape), atol=1e-2)


@pytest.mark.parametrize("order", [0, 1])
def test_volumes_reach_to_the_faces_of_their_outer_voxels(order):
    """On their own grid, up to a header's rounding, and on a finer one of the same field of view."""
    values = chest() * 0 + 50
    rounded = AFFINE_RAS.astype(np.float32).astype(np.float64)
    rounded[:3, 3] += (1e-5, -1e-5, 1e-6)
    for affine in (AFFINE_RAS, rounded):
        assert (on_grid((values, AFFINE_RAS), (np.zeros(SHAPE), affine), order) == 50).all()
    fine = AFFINE_RAS @ np.diag([0.5, 0.5, 0.5, 1.0])
    fine[:3, 3] = AFFINE_RAS[:3, 3] - AFFINE_RAS[:3, :3] @ (0.25, 0.25, 0.25)
    shape = tuple(2 * n for n in SHAPE)
    assert (on_grid((values, AFFINE_RAS), (np.zeros(shape), fine), order) == 50).all()
    wider = fine.copy()
    wider[:3, 3] -= fine[:3, :3] @ (2, 0, 0)
    found = on_grid((values, AFFINE_RAS), (np.zeros(shape), wider), order)
    assert (found[:2] == -1000).all()
    assert (found[2:] == 50).all()


def test_what_lies_outside_is_air():
    away = AFFINE_RAS.copy()
    away[0, 3] += 7.0 * 15
    resampled = on_grid((chest() * 0, AFFINE_RAS), (np.zeros(SHAPE), away))
    assert (resampled[:15] == -1000).all()
    assert (resampled[15:] == 0).all()


def test_another_grid_is_refused_by_name():
    volume, grid = (chest(), AFFINE_RAS), (chest()[:-1], AFFINE_RAS)
    with pytest.raises(InputError, match=r"a.nii: is on another grid than b.nii \(40x36x30 and 39x36x30 voxels\)"):
        check_same_grid(volume, grid, "a.nii", "b.nii")
    moved = AFFINE_RAS.copy()
    moved[2, 3] += 0.5
    with pytest.raises(InputError, match="of the same voxels elsewhere"):
        check_same_grid(volume, (chest(), moved), "a.nii", "b.nii")
    moved[2, 3] -= 0.49  # a header's rounding
    check_same_grid(volume, (chest(), moved), "a.nii", "b.nii")

"""The scan's grid lies where the patient is, whichever way the CT was stored."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from bundle.data.ct_formats import LPS_TO_RAS
from bundle.data.scan_grid import LEAST_OVERLAP, box_centre, scan_axes, scan_grids, window_centres
from bundle.errors import InputError


def rotation(axis: int, degrees: float) -> np.ndarray:
    turn = np.eye(4)
    first, second = [a for a in range(3) if a != axis]
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn[first, first] = turn[second, second] = c
    turn[first, second], turn[second, first] = -s, s
    return turn


def stored(axcodes: str, turn: np.ndarray | None = None, shape=(30, 20, 10), voxel_mm=(2.0, 3.0, 4.0)):
    """Shape and RAS affine of one CT, whose centre lies at (5, -7, 11), in different storage orders."""
    lps = np.diag([*voxel_mm, 1.0])
    lps[:3, 3] = -np.diag(lps)[:3] * (np.array(shape) - 1) / 2
    affine = LPS_TO_RAS @ (np.eye(4) if turn is None else turn) @ lps
    affine[:3, 3] += (5, -7, 11)
    order = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("LPS"), nib.orientations.axcodes2ornt(axcodes)
    )
    image = nib.Nifti1Image(np.zeros(shape, dtype=np.int8), affine).as_reoriented(order)
    return image.shape, image.affine


@pytest.mark.parametrize("axcodes", ["LPS", "RAS", "SPL", "IAR", "PSR"])
def test_axes_are_left_back_head(axcodes):
    np.testing.assert_allclose(scan_axes(stored(axcodes)[1]), np.eye(3), atol=1e-12)


@pytest.mark.parametrize("axcodes", ["LPS", "RAS", "SPL", "IAR"])
def test_oblique_axes_stay(axcodes):
    turn = rotation(0, 20) @ rotation(2, -15)
    np.testing.assert_allclose(scan_axes(stored(axcodes, turn)[1]), turn[:3, :3], atol=1e-12)


def test_tilted_gantry_becomes_orthogonal():
    _, affine = stored("LPS")
    affine[1, 2] = 4.0 * np.tan(np.deg2rad(20))  # slices shifted along y
    axes = scan_axes(affine)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    assert np.rad2deg(np.arccos(np.diag(axes))).max() < 20
    assert np.linalg.det(axes) > 0


def test_axes_in_a_plane():
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 2] = (1.0, 1.0, 0.0)
    with pytest.raises(InputError, match="axes that lie in a plane"):
        scan_axes(affine)


@pytest.mark.parametrize("axcodes", ["LPS", "RAS", "SPL"])
def test_centred_on_the_ct(scan, axcodes):
    (grid,) = scan_grids(*stored(axcodes), scan)
    middle = nib.affines.apply_affine(grid, (np.array(scan.volume_shape) - 1) / 2)
    np.testing.assert_allclose(middle, (5, -7, 11), atol=1e-9)
    assert nib.aff2axcodes(grid) == ("L", "P", "S")
    np.testing.assert_allclose(nib.affines.voxel_sizes(grid), scan.voxel_mm)


@pytest.mark.parametrize("axcodes", ["LPS", "RAS", "SPL"])
def test_centred_on_the_labels(scan, axcodes):
    shape, affine = stored(axcodes)
    labels = np.zeros(shape, dtype=np.uint8)
    labels[2:5, 3, 4:8] = 1
    labels[3, 9, 5] = 2
    expected = nib.affines.apply_affine(affine, [3, 6, 5.5])
    (grid,) = scan_grids(shape, affine, scan, box_centre(labels))
    middle = nib.affines.apply_affine(grid, (np.array(scan.volume_shape) - 1) / 2)
    np.testing.assert_allclose(middle, expected, atol=1e-9)


def test_no_foreground():
    with pytest.raises(InputError, match="label: has no foreground"):
        box_centre(np.zeros((3, 4, 5)))


@pytest.mark.parametrize("length_mm", [100.0, 384.0, 400.0, 700.0, 721.0, 1983.0])
def test_windows_cover_the_length_and_overlap(length_mm):
    window_mm = 384.0
    centres = window_centres(length_mm, window_mm)
    if length_mm <= window_mm:
        assert centres.tolist() == [0.0]
        return
    assert centres[0] - window_mm / 2 == pytest.approx(-length_mm / 2)
    assert centres[-1] + window_mm / 2 == pytest.approx(length_mm / 2)
    steps = np.diff(centres)
    np.testing.assert_allclose(steps, steps[0])
    assert steps[0] <= window_mm * (1 - LEAST_OVERLAP) + 1e-6
    # One window less would not do.
    assert window_mm + (len(centres) - 2) * window_mm * (1 - LEAST_OVERLAP) < length_mm


def test_windows_run_along_the_patient(scan):
    shape, affine = stored("RAS", rotation(0, 30), shape=(30, 20, 100))
    grids = scan_grids(shape, affine, scan, window_mm=150.0)  # 400 mm long
    assert len(grids) == 3
    middles = [nib.affines.apply_affine(grid, (np.array(scan.volume_shape) - 1) / 2) for grid in grids]
    np.testing.assert_allclose(middles[1], (5, -7, 11), atol=1e-9)
    head = LPS_TO_RAS[:3, :3] @ rotation(0, 30)[:3, 2]
    np.testing.assert_allclose(middles[2] - middles[1], 125 * head, atol=1e-9)


def test_windows_are_no_longer_than_the_field(scan):
    """Parts of a short field leave no gaps."""
    field_mm = scan.volume_shape[2] * scan.voxel_mm[2]
    shape, affine = stored("RAS", rotation(0, 30), shape=(30, 20, 100))
    grids = scan_grids(shape, affine, scan, window_mm=10 * field_mm)
    middles = [nib.affines.apply_affine(grid, (np.array(scan.volume_shape) - 1) / 2) for grid in grids]
    steps = np.linalg.norm(np.diff(middles, axis=0), axis=1)
    assert len(grids) > 1
    assert steps.max() <= field_mm * (1 - LEAST_OVERLAP) + 1e-6

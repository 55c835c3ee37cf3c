"""Resampling against closed forms and against an independent implementation."""

from __future__ import annotations

import nibabel as nib
import nibabel.processing
import numpy as np
import pytest

from bundle.data.resample import resample

AFFINE = np.array([[-2.0, 0.3, 0, 31], [0.2, 2.5, 0, -22], [0, 0, 3.0, 7], [0, 0, 0, 1]])
GRID = np.array([[1.7, 0, 0, -20], [0, -1.9, 0, 40], [0, 0.1, 2.1, 3], [0, 0, 0, 1.0]])


@pytest.fixture
def volume() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 300, (24, 20, 16)).astype(np.float32)


def test_linear_function_is_exact():
    """Linear interpolation gives a linear function of position exactly, wherever the grid lies."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in (24, 20, 16)), indexing="ij"), axis=-1)
    position = nib.affines.apply_affine(AFFINE, index)
    weights = np.array([1.5, -2.0, 0.7])
    result = resample((position @ weights).astype(np.float32), AFFINE, GRID, (20, 22, 15))
    there = np.stack(np.meshgrid(*(np.arange(n) for n in result.shape), indexing="ij"), axis=-1)
    expected = nib.affines.apply_affine(GRID, there) @ weights
    within = nib.affines.apply_affine(np.linalg.inv(AFFINE) @ GRID, there)
    deep = ((within >= 0) & (within <= np.array([23, 19, 15]))).all(axis=-1)
    assert deep.sum() > 500
    np.testing.assert_allclose(result[deep], expected[deep], atol=1e-3)


@pytest.mark.parametrize("order", [1, 3])
def test_against_nibabel(volume, order):
    ours = resample(volume, AFFINE, GRID, (20, 22, 35), order)
    image = nib.Nifti1Image(volume, AFFINE)
    theirs = nibabel.processing.resample_from_to(
        image, ((20, 22, 35), GRID), order=order, mode="mirror" if order == 3 else "nearest"
    ).get_fdata()
    known = ours != -1000
    assert 500 < known.sum() < known.size
    np.testing.assert_allclose(ours[known], theirs[known], atol=0.05)


def test_voxels_that_coincide_are_kept(volume):
    for order in (0, 1, 3):
        np.testing.assert_allclose(resample(volume, AFFINE, AFFINE, volume.shape, order), volume, atol=0.02)


def test_air_beyond_the_outer_voxels_edges():
    """Half a voxel belongs to the outer voxels; the rest of the grid is air."""
    volume = np.full((4, 5, 6), 40.0, dtype=np.float32)
    grid = np.diag([0.25, 0.25, 0.25, 1.0])
    grid[:3, 3] = -1.0
    result = resample(volume, np.eye(4), grid, (28, 32, 36))
    for axis, n in enumerate(volume.shape):
        line = np.moveaxis(result, axis, 0)[:, 14, 14]
        position = -1 + 0.25 * np.arange(len(line))
        np.testing.assert_array_equal(line == 40, (position >= -0.5) & (position <= n - 0.5))
    assert set(np.unique(result)) == {-1000.0, 40.0}


def test_labels_stay_labels(volume):
    labels = (volume > 0).astype(np.uint8) * 7
    result = resample(labels, AFFINE, GRID, (20, 22, 15), order=0, outside=0)
    assert result.dtype == np.uint8
    assert set(np.unique(result)) == {0, 7}


def test_slabs_join_seamlessly(volume):
    whole = resample(volume, AFFINE, GRID, (10, 10, 70))
    shifted = GRID.copy()
    shifted[:3, 3] += 31 * GRID[:3, 2]
    np.testing.assert_allclose(whole[:, :, 31:40], resample(volume, AFFINE, shifted, (10, 10, 9)), atol=1e-3)


def test_integers_need_no_copy_in_floating_numbers(volume):
    integers = volume.astype(np.int16)
    np.testing.assert_allclose(
        resample(integers, AFFINE, GRID, (20, 22, 15)),
        resample(integers.astype(np.float32), AFFINE, GRID, (20, 22, 15)),
        atol=1e-3,
    )

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bundle.errors import InputError
from bundle.segmentation.frame import check_labels, check_volume, in_orientation
from tests.datasets.formats import reoriented
from tests.segmentation.volumes import lps_affine

ALL_FRAMES = [
    "".join(codes) for order in itertools.permutations(("LR", "PA", "SI")) for codes in itertools.product(*order)
]


def rotated(degrees: float) -> np.ndarray:
    angle = np.deg2rad(degrees)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return turn @ lps_affine((1.5, 2.0, 3.0))


@pytest.mark.parametrize("axcodes", ALL_FRAMES)
def test_turns_to_the_asked_axes_and_back_exactly(axcodes):
    values = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    affine = lps_affine((1.5, 2.0, 3.0))
    stored, stored_affine = reoriented(values, affine, axcodes)
    oriented = in_orientation(stored, stored_affine, "LPS")
    assert np.array_equal(oriented.values, values)
    assert np.allclose(oriented.affine_ras, affine)
    assert oriented.spacing_mm == pytest.approx((1.5, 2.0, 3.0))
    assert np.array_equal(oriented.restore(values.astype(np.uint8)), stored)


def test_a_tilted_volume_keeps_its_tilt():
    values = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    stored, stored_affine = reoriented(values, rotated(15), "SAR")
    oriented = in_orientation(stored, stored_affine, "LPS")
    assert np.array_equal(oriented.values, values)
    assert np.allclose(oriented.affine_ras, rotated(15))


def test_refuses_an_oblique_volume():
    with pytest.raises(InputError, match=r"25 degrees off.*Resample"):
        in_orientation(np.zeros((2, 3, 4)), rotated(25), "LPS")


def test_refuses_to_restore_what_has_another_shape():
    oriented = in_orientation(np.zeros((2, 3, 4)), lps_affine((1, 2, 3)), "RAS")
    with pytest.raises(ValueError, match="do not belong"):
        oriented.restore(np.zeros((4, 3, 2)))


def test_check_volume_refuses_what_is_no_ct():
    affine = lps_affine((1, 2, 3))
    hu = np.linspace(-1000, 500, 24).reshape(2, 3, 4)
    check_volume(hu, affine)
    check_volume(hu / 1000, affine, check_hu=False)
    with pytest.raises(InputError, match="not HU"):
        check_volume(hu / 1000, affine)
    with pytest.raises(InputError, match="NaN"):
        check_volume(np.where(hu > 400, np.nan, hu), affine)
    with pytest.raises(InputError, match="not a 3D volume"):
        check_volume(hu[0], affine)
    with pytest.raises(InputError, match="affine"):
        check_volume(hu, np.zeros((4, 4)))


def test_check_labels_refuses_unknown_classes():
    names = {1: "right lung", 2: "left lung"}
    check_labels(np.array([0, 1, 2, 2]), names)
    check_labels(np.array([0.0, 2.0]), [2])
    with pytest.raises(InputError, match=r"truth\.nii: has the unknown classes 3, 7\..*known are 1, 2"):
        check_labels(np.array([0, 1, 3, 7]), names, "truth.nii")
    for values in ([0.5, 1.0], [-1, 1], [np.nan, 1]):
        with pytest.raises(InputError, match="no labels"):
            check_labels(np.array(values), names)

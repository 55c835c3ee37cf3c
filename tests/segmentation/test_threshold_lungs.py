from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from bundle.errors import InputError
from bundle.segmentation.segmenter import Segmenter
from bundle.segmentation.threshold_lungs import ThresholdLungs
from tests.conftest import ROOT
from tests.datasets.formats import reoriented
from tests.segmentation.volumes import lps_affine

SPACING_MM = (4.0, 3.5, 6.0)
SHAPE = (82, 74, 44)


def ellipsoid(centre_mm, radii_mm) -> np.ndarray:
    """[x, y, z] mask; the origin is the volume's middle, x leads left, y back, z up."""
    axes = [(np.arange(n) - (n - 1) / 2) * size for n, size in zip(SHAPE, SPACING_MM)]
    grid = np.meshgrid(*axes, indexing="ij", sparse=True)
    return sum(((x - c) / r) ** 2 for x, c, r in zip(grid, centre_mm, radii_mm)) <= 1


BODY = ellipsoid((0, 0, 0), (145, 105, 5000))
RIGHT = ellipsoid((-68, 5, 10), (52, 72, 95))
LEFT = ellipsoid((70, 0, 20), (48, 66, 80))


def chest(*lungs: np.ndarray) -> np.ndarray:
    hu = np.where(BODY, 40.0, -1000.0)
    for lung in lungs:
        hu[lung & (hu > -900)] = -850
    return hu.astype(np.float32)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def segment(hu: np.ndarray) -> np.ndarray:
    return ThresholdLungs()(hu, lps_affine(SPACING_MM))


def test_is_a_segmenter():
    segmenter = ThresholdLungs(threshold_hu=-500)
    assert isinstance(segmenter, Segmenter)
    assert segmenter.describe()["threshold_hu"] == "-500"
    assert "no trained model" in segmenter.describe()["method"]


@pytest.mark.parametrize("axcodes", ["LPS", "RAS", "SAL", "PIR"])
def test_finds_the_sides_in_any_orientation(axcodes):
    hu, affine = reoriented(chest(RIGHT, LEFT), lps_affine(SPACING_MM), axcodes)
    labels = ThresholdLungs()(hu, affine)
    right, _ = reoriented(RIGHT, lps_affine(SPACING_MM), axcodes)
    left, _ = reoriented(LEFT, lps_affine(SPACING_MM), axcodes)
    assert labels.dtype == np.uint8
    assert labels.shape == hu.shape
    assert dice(labels == 1, right) > 0.97
    assert dice(labels == 2, left) > 0.97


def test_parts_lungs_that_touch():
    bridge = ellipsoid((0, -40, 10), (50, 10, 40))
    assert ndimage.label(RIGHT | LEFT | bridge)[1] == 1
    labels = segment(chest(RIGHT, LEFT, bridge))
    assert dice(labels == 1, RIGHT) > 0.95
    assert dice(labels == 2, LEFT) > 0.95


def test_a_lung_in_two_parts_of_which_one_touches_the_other_lung():
    bridge = ellipsoid((0, -35, 60), (60, 10, 25))
    left = LEFT.copy()
    left[:, :, 21:25] = False
    labels = segment(chest(RIGHT, left, bridge))
    assert dice((labels == 1) & ~bridge, RIGHT & ~bridge) > 0.93
    assert dice((labels == 2) & ~bridge, left & ~bridge) > 0.93


@pytest.mark.parametrize(("lung", "label"), [(RIGHT, 1), (LEFT, 2)])
def test_a_single_lung_has_its_side(lung, label):
    labels = segment(chest(lung))
    assert set(np.unique(labels)) == {0, label}
    assert dice(labels == label, lung) > 0.97


def test_leaves_out_windpipe_and_gas_but_not_vessels():
    hu = chest(RIGHT, LEFT)
    windpipe = ellipsoid((0, -10, 60), (9, 9, 150)) & ~RIGHT & ~LEFT
    gas = ellipsoid((60, -40, -110), (30, 25, 18))
    vessel = ellipsoid((-70, 5, 10), (5, 5, 40))
    hu[windpipe | gas] = -1000
    hu[vessel] = 60
    labels = segment(hu)
    assert not labels[windpipe].any()
    assert not labels[gas].any()
    assert (labels[vessel] == 1).all()


def test_keeps_lungs_that_are_open_to_the_first_slice():
    hu, lungs = chest(RIGHT, LEFT)[:, :, 22:], (RIGHT | LEFT)[:, :, 22:]
    assert dice(segment(hu) > 0, lungs) > 0.97


def test_survives_noise_and_an_open_chest_wall():
    hu = chest(RIGHT, LEFT)
    hu[:, 37:39, 20:24] = -1000.0  # a streak through the wall, 7 mm wide
    hu += np.random.default_rng(0).normal(0, 200, hu.shape).astype(np.float32)
    labels = segment(hu)
    assert dice(labels == 1, RIGHT) > 0.93
    assert dice(labels == 2, LEFT) > 0.93


def test_no_lungs_give_an_empty_mask():
    hu = chest()
    assert not segment(hu).any()
    hu[ellipsoid((30, -40, 0), (40, 30, 40))] = -1000  # bowel gas is no lung
    assert not segment(hu).any()


def test_agrees_with_a_trained_segmenter_on_the_sample():
    image = nib.load(ROOT / "sample_data" / "chest.nii.gz")
    truth = np.asarray(nib.load(ROOT / "sample_data" / "chest_lungs.nii.gz").dataobj) > 0
    labels = ThresholdLungs()(np.asarray(image.dataobj), image.affine)
    assert dice(labels > 0, truth) > 0.96
    volume_ml = np.bincount(labels.ravel())[1:] * abs(np.linalg.det(image.affine)) / 1000
    assert volume_ml[0] > 1.1 * volume_ml[1] > 1700  # the right lung is the larger one


def test_refuses_what_is_no_hu():
    with pytest.raises(InputError, match=r"not HU.*check_hu"):
        segment(chest(RIGHT) / 1000)
    with pytest.raises(InputError, match="threshold_hu"):
        ThresholdLungs(threshold_hu=0.3)

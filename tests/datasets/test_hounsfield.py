"""HU are told by their peaks, whatever the range of values."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from bundle.data.checks import check_hounsfield
from bundle.datasets.hounsfield import check_hounsfield_peaks, histogram_peaks
from bundle.errors import InputError
from tests.conftest import ROOT
from tests.datasets.replicas import anatomy


@pytest.fixture(scope="module")
def chest() -> np.ndarray:
    return np.asarray(nib.load(ROOT / "sample_data" / "chest.nii.gz").dataobj)


def padded(values: np.ndarray, padding: float) -> np.ndarray:
    """The padding outside a circular field of view."""
    x, y = np.meshgrid(*(np.linspace(-1, 1, n) for n in values.shape[:2]), indexing="ij")
    out = values.copy()
    out[x**2 + y**2 > 1] = padding
    return out


def test_ct_passes(chest):
    for hu in (chest, anatomy().hu, padded(chest, -2000), padded(chest, -3024), chest.astype(np.float32) + 0.3):
        check_hounsfield_peaks(hu, "case")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda hu: padded(hu + 1024, -2000), r"peaks at .*-1990.*hardly any voxels near air"),
        (lambda hu: padded(hu.astype(np.float32) - 1024, -3024), "none at soft tissue"),
        (lambda hu: hu * np.float32(1000), "not HU"),
        (lambda hu: hu / np.float32(1000), "air"),
        (lambda hu: (hu + np.float32(1024)) / 4095, "air"),
        (lambda hu: ((hu.clip(-1000, 1000) + 1000) / 2000 * 255).astype(np.uint8), "air"),
        (lambda hu: hu // 2 + 0, "air"),
        (lambda hu: np.full_like(hu, -1000), "none at soft tissue"),
        (lambda hu: np.where(hu < -500, -1000, 900), "none at soft tissue"),
    ],
    ids=["offset", "offset twice", "x1000", "/1000", "unit", "8 bit", "halved", "empty", "no tissue"],
)
def test_what_is_not_hu_is_refused(chest, change, message):
    with pytest.raises(InputError, match=message) as raised:
        check_hounsfield_peaks(change(chest), "case")
    assert "check_hu" in raised.value.remedy


def test_it_sees_what_the_range_hides(chest):
    """An offset of 1024 under a padding of -2000 passes the check of the range alone."""
    check_hounsfield(padded(chest + 1024, -2000), "case")


def test_peaks():
    values = np.concatenate([np.full(50, -1000.0), np.full(30, 50.0), np.full(20, 1000.0), np.full(5, 400.0)])
    np.testing.assert_allclose(histogram_peaks(values), [-990, 50, 1010], atol=10)
    assert histogram_peaks(np.array([])) == []
    np.testing.assert_allclose(histogram_peaks(np.array([0.0, 0.5, 0.5, 1.0]), count=1), [0.505], atol=0.01)

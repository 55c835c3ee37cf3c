from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bundle.errors import InputError
from bundle.physics.attenuation import MU_WATER_PER_MM
from bundle.scanners.hounsfield import (
    HounsfieldCalibration,
    calibrate_hounsfield,
    hu_to_mu,
    mu_to_hu,
    mu_water_from_volume,
)

WATER, AIR = 0.0193, 0.0007


@pytest.fixture
def phantom() -> np.ndarray:
    """[x, y, z] noisy water in a box off the middle, air around it, and a few voxels of metal in both."""
    volume = np.full((12, 14, 16), AIR)
    volume[2:9, 3:10, 4:15] = WATER
    volume += np.random.default_rng(0).normal(0, 1e-4, volume.shape)
    volume[3, 3, 4:8] = volume[0, 0, :3] = 0.5
    return volume


def test_points_of_the_scale():
    hu = mu_to_hu(np.array([AIR, WATER, 2 * WATER - AIR]), WATER, AIR)
    np.testing.assert_allclose(hu, [-1000, 0, 1000], atol=1e-9)
    assert mu_to_hu(0.0, MU_WATER_PER_MM) == pytest.approx(-1000.0)
    assert hu_to_mu(500.0, 0.02) == pytest.approx(0.03)  # mu_water (1 + HU / 1000)


def test_tensors_keep_their_type():
    mu = torch.tensor([[0.0, 0.02, 0.03]])
    hu = mu_to_hu(mu, 0.02)
    assert hu.dtype == torch.float32
    torch.testing.assert_close(hu, torch.tensor([[-1000.0, 0.0, 500.0]]))
    torch.testing.assert_close(hu_to_mu(hu, 0.02), mu)


@given(st.floats(-1, 5), st.floats(0.003, 0.1), st.floats(-0.4, 0.4))
def test_round_trip(mu, water, air):
    assert hu_to_mu(mu_to_hu(mu, water, air * water), water, air * water) == pytest.approx(mu, abs=1e-9)


@pytest.mark.parametrize("convert", [mu_to_hu, hu_to_mu])
@pytest.mark.parametrize(("water", "air"), [(0.02, 0.02), (0.0, 0.0), (-0.02, 0.0), (np.nan, 0.0)])
def test_water_must_be_above_air(convert, water, air):
    with pytest.raises(InputError, match=r"mu_water_per_mm: is .*, not above air's"):
        convert(np.zeros(3), water, air)


def test_calibration_by_boxes_and_masks(phantom):
    water_box, air_box = (2, 9, 3, 10, 4, 15), (0, 12, 0, 3, 0, 16)
    water_mask, air_mask = np.zeros(phantom.shape, bool), np.zeros(phantom.shape, bool)
    water_mask[2:9, 3:10, 4:15] = air_mask[:, :3] = True
    by_box = calibrate_hounsfield(phantom, water_box, air_box)
    assert by_box == calibrate_hounsfield(phantom, water_mask, air_mask)
    assert by_box.mu_water_per_mm == pytest.approx(WATER, abs=2e-5)
    assert by_box.mu_air_per_mm == pytest.approx(AIR, abs=2e-5)
    hu = mu_to_hu(phantom, by_box.mu_water_per_mm, by_box.mu_air_per_mm)
    assert np.median(hu[water_mask]) == pytest.approx(0, abs=1e-6)
    assert np.median(hu[air_mask]) == pytest.approx(-1000, abs=1e-6)


def test_calibration_without_air(phantom):
    assert calibrate_hounsfield(phantom, (2, 9, 3, 10, 4, 15)) == HounsfieldCalibration(
        mu_water_from_volume(phantom, (2, 9, 3, 10, 4, 15)), 0.0
    )


@pytest.mark.parametrize(
    ("factor", "remedy"),
    [(10, r"per cm: divide the volume by 10"), (1e5, "these may be HU or counts"), (0.01, "Check the region")],
)
def test_other_units_are_refused(phantom, factor, remedy):
    with pytest.raises(InputError, match=rf"water_region: has the median .*, no attenuation of water per mm.*{remedy}"):
        mu_water_from_volume(phantom * factor, (2, 9, 3, 10, 4, 15))


def test_swapped_regions_are_refused(phantom):
    with pytest.raises(InputError, match=r"water_region: has the median 0\.0007"):
        calibrate_hounsfield(phantom, (0, 12, 0, 3, 0, 16), (2, 9, 3, 10, 4, 15))
    with pytest.raises(InputError, match=r"air_region: has the median 0\.019\d* per mm where water has 0\.019\d*"):
        calibrate_hounsfield(phantom, (2, 9, 3, 10, 4, 15), (3, 8, 4, 9, 5, 14))


@pytest.mark.parametrize(
    "region",
    [
        (2, 9, 3, 10, 4, 17),
        (-1, 9, 3, 10, 4, 15),
        (9, 2, 3, 10, 4, 15),
        (2, 9, 3, 10),
        (2.0, 9.0, 3.0, 10.0, 4.0, 15.0),
        np.zeros((12, 14, 16), bool),
        np.ones((14, 12, 16), bool),
        np.ones((12, 14, 16), int),
    ],
    ids=["beyond", "negative", "turned", "four", "floats", "empty", "other shape", "integers"],
)
def test_regions_that_are_none(phantom, region):
    with pytest.raises(InputError, match=r"water_region: is no part of a volume of \(12, 14, 16\) voxels"):
        mu_water_from_volume(phantom, region)


def test_nan_and_other_dimensions_are_refused(phantom):
    phantom[4, 5, 6] = np.nan
    with pytest.raises(InputError, match="water_region: has NaN"):
        mu_water_from_volume(phantom, (2, 9, 3, 10, 4, 15))
    with pytest.raises(InputError, match=r"mu_per_mm: has the shape \(12, 14\)"):
        mu_water_from_volume(phantom[:, :, 0], (2, 9, 3, 10, 4, 15))

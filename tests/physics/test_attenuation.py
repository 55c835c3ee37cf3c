from __future__ import annotations

import numpy as np
import pytest
import torch

from bundle.errors import InputError
from bundle.physics.attenuation import (
    attenuation_to_normalised,
    check_log_transformed,
    hu_to_unit,
    normalised_to_attenuation,
    rewindow_normalised,
    unit_integral_to_normalised,
    unit_to_hu,
)


def test_water_cylinder():
    """200 mm of water in the window -1000..1000 is half of full scale: p_norm 0.5, p = 200 mu."""
    unit = hu_to_unit(np.array([0.0]), (-1000, 1000))
    normalised = unit_integral_to_normalised(unit * 200.0)
    assert normalised[0] == pytest.approx(0.5)
    assert normalised_to_attenuation(normalised, (-1000, 1000), 0.02)[0] == pytest.approx(4.0)


@pytest.mark.parametrize("window", [(-1000, 1000), (-1000, 1024), (-1000, 3000)])
@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_attenuation_round_trip(window, kind):
    values = kind([[0.0, 0.3], [1.7, 4.2]])
    back = attenuation_to_normalised(normalised_to_attenuation(values, window), window)
    np.testing.assert_allclose(np.asarray(back), np.asarray(values), rtol=1e-6)


def test_window_that_does_not_start_at_air_needs_the_path():
    """100 mm of tissue at -100 HU in a 300 mm box that is at -500 HU elsewhere."""
    window, mu, path = (-500, 500), 0.02, 300.0
    truth = mu * (100 * 0.9 + 200 * 0.5)
    normalised = np.array([unit_integral_to_normalised(100 * 0.4)])
    assert normalised_to_attenuation(normalised, window, mu, path)[0] == pytest.approx(truth)
    assert attenuation_to_normalised(np.array([truth]), window, mu, path)[0] == pytest.approx(normalised[0])
    with pytest.raises(InputError, match="path_mm"):
        normalised_to_attenuation(normalised, window, mu)


def test_rewindowing_equals_projecting_with_the_other_window():
    hu_path = 120.0  # mm at 300 HU
    first = unit_integral_to_normalised(hu_path * 1300 / 2000)
    second = unit_integral_to_normalised(hu_path * 1300 / 2024)
    assert rewindow_normalised(first, (-1000, 1000), (-1000, 1024)) == pytest.approx(second)
    with pytest.raises(InputError, match="window"):
        rewindow_normalised(first, (-900, 1000), (-1000, 1000))


def test_unit_and_hu():
    assert unit_to_hu(np.array([0.0, 0.5, 1.0]), (-1000, 1024)).tolist() == [-1000, 12, 1024]
    assert hu_to_unit(np.array([-2000.0, 5000.0]), (-1000, 1024)).tolist() == [0, 1]


def disc_integrals(height: float) -> np.ndarray:
    """Line integrals of a disc: air at the sides, [view, v, u]."""
    u = np.linspace(-1.2, 1.2, 64)
    return np.tile(height * np.sqrt(np.clip(1 - u**2, 0, None)), (3, 16, 1))


@pytest.mark.parametrize("height", [0.5, 1.0, 6.0])
def test_line_integrals_pass(height):
    check_log_transformed(disc_integrals(height), "scan")


@pytest.mark.parametrize(
    ("values", "what"),
    [(np.exp(-disc_integrals(3.0)), "transmissions"), (6e4 * np.exp(-disc_integrals(3.0)), "counts")],
)
def test_intensities_are_refused(values, what):
    with pytest.raises(InputError, match=what):
        check_log_transformed(values, "scan")

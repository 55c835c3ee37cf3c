from __future__ import annotations

import numpy as np
import pytest
import torch

from bundle.classical import DataConsistency, view_residuals
from bundle.errors import InputError
from bundle.physics.attenuation import (
    attenuation_to_normalised,
    normalised_to_attenuation,
    normalised_to_unit_integral,
    unit_integral_to_normalised,
)
from bundle.physics.noise import DetectorNoise
from bundle.projector import ConeBeamProjector
from tests.classical.scans import error, exact, orbit

WINDOW = (-1000.0, 1024.0)


def scan():
    return orbit(np.arange(8) * np.pi / 8).with_volume((28, 24, 22))


def measured(geometry, volume, photons: float | None = None) -> torch.Tensor:
    """Projections of the voxels themselves, so that a perfect volume leaves nothing but the noise."""
    clean = ConeBeamProjector(geometry)(volume)
    if photons is None:
        return clean
    p = DetectorNoise(photons)(normalised_to_attenuation(unit_integral_to_normalised(clean), WINDOW))
    return normalised_to_unit_integral(attenuation_to_normalised(p, WINDOW))


def blurred(volume: torch.Tensor) -> torch.Tensor:
    """What a network may give: too smooth, and a little too dense."""
    return 1.05 * torch.nn.functional.avg_pool3d(volume, 3, stride=1, padding=1)


@pytest.mark.parametrize("method", ["sart", "cgls"])
def test_lowers_residual_and_error(method):
    geometry = scan()
    truth = exact(geometry)[0]
    projections, start = measured(geometry, truth), blurred(truth)
    refined = DataConsistency(method)(projections, geometry, start)
    project = ConeBeamProjector(geometry)
    before, after = (float((projections - project(x)).norm()) for x in (start, refined))
    assert after < 0.45 * before
    assert error(refined, truth) < 0.8 * error(start, truth)
    assert float(refined.min()) >= 0.0


@pytest.mark.parametrize("method", ["sart", "cgls"])
def test_stops_at_the_noise(method):
    """By the discrepancy rule the last volume is the first whose residual is at the noise's level, or near."""
    geometry = scan()
    truth = exact(geometry)[0]
    noise = DetectorNoise(1e4)
    projections = measured(geometry, truth, 1e4)
    level = float((projections - measured(geometry, truth)).norm())
    rule = DataConsistency(method, max_steps=40, noise=noise, hu_window=WINDOW, least_progress=0.0)
    no_rule = DataConsistency(method, max_steps=40, least_progress=0.0)
    assert float(rule.noise_variance(projections).sum().sqrt()) == pytest.approx(level, rel=0.1)
    project = ConeBeamProjector(geometry)
    kept, fitted = (m(projections, geometry, blurred(truth)) for m in (rule, no_rule))
    assert float((projections - project(kept)).norm()) == pytest.approx(level, rel=0.15)
    assert float((projections - project(fitted)).norm()) < 0.97 * level


def test_a_volume_that_explains_the_data_stays_as_it_is():
    geometry = scan()
    truth = exact(geometry)[0].clamp(min=0)
    projections = measured(geometry, truth, 1e5)
    rule = DataConsistency(noise=DetectorNoise(1e5), tolerance=1.05, hu_window=WINDOW)
    assert torch.equal(rule(projections, geometry, truth), truth)


def test_steps_without_progress_end_it():
    """Inconsistent projections: no volume explains them, and the residual stalls."""
    geometry = scan()
    truth = exact(geometry)[0]
    projections = measured(geometry, truth) + 30.0 * torch.rand(1, 8, 76, 96)
    few = DataConsistency(max_steps=50, least_progress=0.5)(projections, geometry, truth)
    assert torch.equal(few, DataConsistency(max_steps=1, least_progress=0.0)(projections, geometry, truth))


def test_items_stop_by_themselves():
    geometry = scan()
    truth = exact(geometry)[0]
    projections = measured(geometry, truth)
    method = DataConsistency(max_steps=3)
    both = method(projections.repeat(2, 1, 1, 1), geometry, torch.cat([blurred(truth), truth]))
    torch.testing.assert_close(both[:1], method(projections, geometry, blurred(truth)))


def test_residuals_are_reported_per_view():
    geometry = scan()
    truth = exact(geometry)[0]
    projections = measured(geometry, truth)[0]
    projections[3] += 2.0
    views = view_residuals(truth[0], projections, geometry, torch.full_like(projections, 4.0))
    assert [view.view for view in views] == list(range(8))
    np.testing.assert_allclose([view.angle_deg for view in views], np.arange(8) * 22.5, atol=1e-4)
    np.testing.assert_allclose([view.rms_mm for view in views], [0, 0, 0, 2, 0, 0, 0, 0], atol=1e-3)
    np.testing.assert_allclose([view.bias_mm for view in views], [0, 0, 0, -2, 0, 0, 0, 0], atol=1e-3)
    assert views[3].noise_ratio == pytest.approx(1.0, abs=1e-3)
    assert views[3].relative == pytest.approx(2.0 / float(projections[3].square().mean().sqrt()), rel=1e-3)
    assert view_residuals(truth[0], projections, geometry)[0].noise_ratio is None


@pytest.mark.parametrize("options", [{"method": "tv"}, {"max_steps": 0}, {"least_progress": 1.0}, {"relaxation": 0}])
def test_wrong_options_are_refused(options):
    with pytest.raises(InputError):
        DataConsistency(**options)


def test_unknown_noise_level_is_refused():
    with pytest.raises(InputError, match="the range"):
        DataConsistency(noise=DetectorNoise([1e4, 1e5]))


def test_needs_a_volume():
    with pytest.raises(ValueError, match="initial"):
        DataConsistency()(torch.zeros(1, 8, 76, 96), scan())

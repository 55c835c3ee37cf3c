from __future__ import annotations

import numpy as np
import pytest
import torch

from bundle.errors import InputError
from bundle.physics.noise import DetectorNoise, case_generator


@pytest.mark.parametrize("p", [0.0, 2.0, 4.0])
def test_mean_and_spread(p):
    """Var(p) is about (I0 exp(-p) + sigma^2) / (I0 exp(-p))^2."""
    noise = DetectorNoise(photons=1e5, electronic_sigma=10.0)
    noisy = noise(torch.full((200_000,), p), torch.Generator().manual_seed(1))
    counts = 1e5 * torch.exp(torch.tensor(-p))
    assert float(noisy.mean()) == pytest.approx(p, abs=3e-3)
    assert float(noisy.var()) == pytest.approx(float((counts + 100) / counts**2), rel=0.05)


def test_starved_pixels_stay_finite():
    noisy = DetectorNoise()(torch.full((1000,), 40.0), torch.Generator().manual_seed(1))
    assert torch.isfinite(noisy).all()
    assert float(noisy.max()) <= 11.6  # ln(1e5): one count


def test_seeded():
    p = torch.rand(50)
    first, second = (DetectorNoise()(p, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("arguments", [{"photons": 0}, {"electronic_sigma": -1}])
def test_refuses_impossible_noise(arguments):
    with pytest.raises(InputError, match="noise"):
        DetectorNoise(**arguments)


def test_expected_variance_and_averaging():
    """Against many draws: of single pixels, and of means over three."""
    noise, p = DetectorNoise(2e4, 12.0), torch.full((300_000, 3), 2.0)
    noisy = noise(p)
    assert float(noisy.var()) == pytest.approx(float(noise.variance(torch.tensor(2.0))), rel=0.03)
    assert float(noisy.mean(dim=1).var()) == pytest.approx(
        float(noise.averaged(3).variance(torch.tensor(2.0))), rel=0.03
    )


def test_equal_noise_is_told_alike():
    """Prepared sets and tables of results keep the words."""
    assert str(DetectorNoise(100000, 10)) == str(DetectorNoise(1e5, 10.0))
    assert DetectorNoise([30000, 1000000]) == DetectorNoise((3e4, 1e6))


def test_level_is_drawn_from_its_range():
    noise, p = DetectorNoise([1e3, 1e5], 0.0), torch.zeros(20_000)
    spreads = [float(noise(p, torch.Generator().manual_seed(seed)).std()) for seed in range(40)]
    levels = 1 / np.square(spreads)
    assert levels.min() > 0.95e3
    assert levels.max() < 1.05e5
    assert levels.max() / levels.min() > 20
    assert 0.3 < np.mean(np.log10(levels) < 4) < 0.7  # equal chances for equal ratios


@pytest.mark.parametrize("photons", [[1e5, 1e4], [0, 1e4], [1, 2, 3], float("inf"), float("nan")])
def test_wrong_ranges_are_refused(photons):
    with pytest.raises(InputError, match="noise"):
        DetectorNoise(photons)


def test_a_generator_of_its_own_for_every_case_and_seed():
    drawn = [
        torch.rand(4, generator=case_generator(seed, case, "cpu")).tolist()
        for seed, case in [(0, "a"), (0, "a"), (1, "a"), (0, "b"), (1 << 40, "a")]
    ]
    assert drawn[0] == drawn[1]
    assert len({tuple(values) for values in drawn}) == 4

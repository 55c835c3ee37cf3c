from __future__ import annotations

import pytest
import torch

from bundle.errors import InputError
from bundle.physics.noise import DetectorNoise


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

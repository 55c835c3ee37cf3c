"""Quantum and electronic noise of a flat-panel detector."""

from __future__ import annotations

import torch

__all__ = ["add_noise"]


def add_noise(
    attenuation: torch.Tensor,
    photons: float = 1e5,
    electronic_sigma: float = 10.0,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Adds Poisson and Gaussian noise to line integrals.

    Counts are Poisson distributed about I0 exp(-p), electronic noise is added, and the logarithm is taken again with
    counts clamped at one.

    Args:
        attenuation: p = integral of mu dl, any shape; the physical one, not the normalised projection.
        photons: incident photons I0 per detector pixel.
        electronic_sigma: standard deviation of the electronic noise in counts.
        generator: source of randomness, on the tensor's device.

    Returns:
        Noisy p, of the same shape and type.
    """
    expected = photons * torch.exp(-attenuation.float())
    counts = torch.poisson(expected, generator=generator)
    electronic = torch.randn(counts.shape, generator=generator, device=counts.device, dtype=counts.dtype)
    counts = (counts + electronic_sigma * electronic).clamp(min=1.0)
    return -torch.log(counts / photons).to(attenuation.dtype)

"""Quantum and electronic noise of a flat-panel detector."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import torch

from bundle.errors import InputError

__all__ = ["DetectorNoise", "case_generator"]


def case_generator(seed: int, case: object, device: str | torch.device) -> torch.Generator:
    """Source of randomness that is the same for a case every time, and another for every case."""
    return torch.Generator(device).manual_seed((seed << 32) + zlib.crc32(str(case).encode()))


@dataclass(frozen=True)
class DetectorNoise:
    """Poisson and Gaussian noise on measured intensities.

    Counts are Poisson distributed about I0 exp(-p), electronic noise is added, and the logarithm is taken again with
    counts clamped at one.

    Args:
        photons: incident photons I0 per detector pixel.
        electronic_sigma: standard deviation of the electronic noise in counts.
    """

    photons: float = 1e5
    electronic_sigma: float = 10.0

    def __post_init__(self) -> None:
        if self.photons <= 0 or self.electronic_sigma < 0:
            raise InputError(
                "noise",
                f"has {self.photons} photons and an electronic sigma of {self.electronic_sigma}.",
                "Give a positive photon count and a sigma of at least zero.",
            )

    def __call__(self, attenuation: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """Adds noise.

        Args:
            attenuation: p = integral of mu dl, any shape; the physical one, not the normalised projection.
            generator: source of randomness on the tensor's device; the global one if None.

        Returns:
            Noisy p, of the same shape and type.
        """
        counts = torch.poisson(self.photons * torch.exp(-attenuation.float()), generator=generator)
        electronic = torch.randn(counts.shape, generator=generator, device=counts.device, dtype=counts.dtype)
        counts = (counts + self.electronic_sigma * electronic).clamp(min=1.0)
        return -torch.log(counts / self.photons).to(attenuation.dtype)

"""Quantum and electronic noise of a flat-panel detector."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from monai.utils import ensure_tuple

from bundle.errors import InputError

__all__ = ["DetectorNoise", "case_generator"]


def case_generator(seed: int, case: object, device: str | torch.device) -> torch.Generator:
    """Source of randomness that is the same for a case every time, and another for every case and seed.

    Args:
        seed: of the run.
        case: name of the case.
        device: where the generator's numbers are used.
    """
    # PyTorch's generator on CPUs takes 32 bits of a seed and no more.
    return torch.Generator(device).manual_seed(zlib.crc32(f"{seed} {case}".encode()))


@dataclass(frozen=True)
class DetectorNoise:
    """Poisson and Gaussian noise on measured intensities.

    Counts are Poisson distributed about I0 exp(-p), electronic noise is added, and the logarithm is taken again with
    counts clamped at one.

    Args:
        photons: incident photons I0 per detector pixel; or (fewest, most), from which every scan draws its own, with
            equal chances for equal ratios.
        electronic_sigma: standard deviation of the electronic noise in counts.
    """

    photons: float | Sequence[float] = 1e5
    electronic_sigma: float = 10.0

    def __post_init__(self) -> None:
        low, *high = ensure_tuple(self.photons)
        if len(high) > 1 or not 0 < low <= (high or [low])[0] < math.inf or not 0 <= self.electronic_sigma < math.inf:
            raise InputError(
                "noise",
                f"has {self.photons} photons and an electronic sigma of {self.electronic_sigma}.",
                "Give a positive photon count, or the fewest and the most, and a sigma of at least zero.",
            )
        # Equal noise is told alike, whether it was given as 100000 or as 1e5.
        object.__setattr__(self, "photons", (float(low), float(high[0])) if high else float(low))
        object.__setattr__(self, "electronic_sigma", float(self.electronic_sigma))

    def __call__(self, attenuation: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """Adds noise.

        Args:
            attenuation: p = integral of mu dl, any shape; the physical one, not the normalised projection.
            generator: source of randomness on the tensor's device; the global one if None.

        Returns:
            Noisy p, of the same shape and type.
        """
        photons = self._draw_photons(attenuation.device, generator)
        counts = torch.poisson(photons * torch.exp(-attenuation.float()), generator=generator)
        electronic = torch.randn(counts.shape, generator=generator, device=counts.device, dtype=counts.dtype)
        counts = (counts + self.electronic_sigma * electronic).clamp(min=1.0)
        return -torch.log(counts / photons).to(attenuation.dtype)

    def averaged(self, pixels: float) -> DetectorNoise:
        """The noise of p that is averaged over a number of pixels: that of so many times the photons."""
        photons = tuple(pixels * value for value in ensure_tuple(self.photons))
        return replace(
            self,
            photons=photons if len(photons) > 1 else photons[0],
            electronic_sigma=math.sqrt(pixels) * self.electronic_sigma,
        )

    def variance(self, attenuation: torch.Tensor) -> torch.Tensor:
        """Approximate variance of the noise on p, to first order: (I + sigma^2) / I^2 with I = I0 exp(-p).

        Counts below the electronic noise, where that does not hold, are taken to be at its level.

        Args:
            attenuation: p, any shape.

        Raises:
            InputError: when photons is a range, so that the level is not known.
        """
        photons = ensure_tuple(self.photons)
        if len(photons) > 1:
            raise InputError("noise.photons", f"is the range {self.photons}.", "Give the scan's own number of photons.")
        counts = (photons[0] * torch.exp(-attenuation)).clamp(min=max(1.0, self.electronic_sigma))
        return (counts + self.electronic_sigma**2) / counts**2

    def _draw_photons(self, device: torch.device, generator: torch.Generator | None) -> torch.Tensor | float:
        low, *high = ensure_tuple(self.photons)
        if not high:
            return low
        share = torch.rand((), generator=generator, device=device)
        return low * (high[0] / low) ** share

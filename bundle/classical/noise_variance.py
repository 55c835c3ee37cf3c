"""The noise of line integrals, from that of the detector."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from bundle.physics.attenuation import MU_WATER_PER_MM, attenuation_per_unit_mm
from bundle.physics.noise import DetectorNoise

__all__ = ["noise_variance"]


def noise_variance(
    noise: DetectorNoise,
    projections: torch.Tensor,
    hu_window: Sequence[float],
    mu_water_per_mm: float = MU_WATER_PER_MM,
) -> torch.Tensor:
    """Expected variance of line integrals.

    Args:
        noise: of a pixel's p = -ln(I / I0).
        projections: [B, views, V, U] line integrals in value times mm.
        hu_window: HU at the values 0 and 1, the lower one air.
        mu_water_per_mm: attenuation of water at the beam's effective energy.

    Returns:
        [B, views, V, U] in (value times mm)^2.

    Raises:
        InputError: when the noise's level is not known.
    """
    per_mm = attenuation_per_unit_mm(hu_window, mu_water_per_mm)
    return noise.variance(projections * per_mm) / per_mm**2

"""Projections of a volume as the network sees them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from bundle.geometry import ConeBeamGeometry
from bundle.physics.attenuation import (
    attenuation_to_normalised,
    normalised_to_attenuation,
    unit_integral_to_normalised,
)
from bundle.physics.noise import DetectorNoise
from bundle.projector import ConeBeamProjector

__all__ = ["simulate_projections"]


def simulate_projections(
    volume: torch.Tensor,
    geometry: ConeBeamGeometry,
    hu_window: Sequence[float],
    noise: DetectorNoise | None = None,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Simulates a scan on the volume's device.

    Args:
        volume: [B, 1, X, Y, Z] volume in [0, 1] over the HU window.
        geometry: the scan.
        hu_window: HU at 0 and 1; noise needs it to know the physical attenuation.
        noise: detector noise; none if None.
        generator: source of the noise's randomness, on the volume's device.

    Returns:
        [B, views, V, U] normalised projections.
    """
    normalised = unit_integral_to_normalised(ConeBeamProjector(geometry)(volume))
    if noise is None:
        return normalised
    attenuation = noise(normalised_to_attenuation(normalised, hu_window), generator)
    return attenuation_to_normalised(attenuation, hu_window)

"""Projections of a volume as the network sees them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from bundle.geometry import ConeBeamGeometry
from bundle.physics.acquisition import Acquisition
from bundle.physics.attenuation import attenuation_to_normalised, unit_integral_to_normalised
from bundle.projector import ConeBeamProjector

__all__ = ["simulate_projections"]


def simulate_projections(
    volume: torch.Tensor,
    geometry: ConeBeamGeometry,
    hu_window: Sequence[float],
    acquisition: Acquisition | None = None,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Simulates a scan on the volume's device.

    Args:
        volume: [B, 1, X, Y, Z] volume in [0, 1] over the HU window.
        geometry: the scan.
        hu_window: HU at 0 and 1.
        acquisition: noise and other physics; exact line integrals if None.
        generator: source of the randomness, on the volume's device.

    Returns:
        [B, views, V, U] normalised projections.
    """
    projector = ConeBeamProjector(geometry)
    if acquisition is None:
        return unit_integral_to_normalised(projector(volume))
    attenuation = acquisition(volume, projector, hu_window, generator)
    return attenuation_to_normalised(attenuation, hu_window, acquisition.mu_water_per_mm)

"""Simulated scans: projections of a volume as the network sees them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from bundle.geometry import ConeBeamGeometry
from bundle.physics.acquisition import Acquisition
from bundle.physics.attenuation import attenuation_to_normalised, unit_integral_to_normalised
from bundle.projector import ConeBeamProjector

__all__ = [
    "FINE",
    "LEAST_FINENESS",
    "MEASURED",
    "OWN_VOXELS",
    "RAYS_PER_PIXEL",
    "SCANNED_FROM",
    "describe_scan",
    "project_own_voxels",
    "simulate_item",
    "simulate_scan",
]

FINE = "fine"
"""Entry of an item: [1, X, Y, Z] the volume on the finer grid that its scan is simulated of."""

MEASURED = "measured"
"""Entry of a batch: [B, views, V, U] normalised projections of the detector as it is; the network's may be averages."""

SCANNED_FROM = "scanned_from"
"""Entry of an item, and column of tables: how its scan was made, in words."""

OWN_VOXELS = "own voxels"
"""What it says of scans of the very voxels that are reconstructed."""

LEAST_FINENESS = 2
"""Voxels of a simulated scan for each voxel of the reconstruction, along an axis."""

RAYS_PER_PIXEL = 2
"""Rays of a simulated scan in each pixel, along an axis of the detector."""


def simulate_scan(
    volume: torch.Tensor,
    geometry: ConeBeamGeometry,
    hu_window: Sequence[float],
    acquisition: Acquisition | None = None,
    generator: torch.Generator | None = None,
    rays_per_pixel: int = RAYS_PER_PIXEL,
) -> torch.Tensor:
    """Simulates a scan of a volume that is finer than what will be reconstructed, on the volume's device.

    Projections of the reconstruction's own voxels can be explained by them to the last digit, which flatters every
    method that fits its volume to data: J. Kaipio and E. Somersalo, "Statistical inverse problems: discretization,
    model reduction and inverse crimes", Journal of Computational and Applied Mathematics 198:493, 2007.

    A pixel integrates over its area: without an acquisition it has the mean of its rays' line integrals; with one it
    counts photons, so that their transmitted intensities are averaged.

    Args:
        volume: [B, 1, X, Y, Z] volume in [0, 1] over the HU window, with at least twice the geometry's voxels along
            each axis, over the same field.
        geometry: the scan, with the voxels of the reconstruction.
        hu_window: HU at 0 and 1.
        acquisition: noise and other physics; exact line integrals if None.
        generator: source of the randomness, on the volume's device.
        rays_per_pixel: rays along each of a pixel's axes.

    Returns:
        [B, views, V, U] normalised projections.

    Raises:
        ValueError: when the volume is not finer.

    Example::

        fine = torch.rand(1, 1, 128, 128, 128)
        projections = simulate_scan(fine, preset.resized(volume_shape=(64, 64, 64)).geometry(angles), (-1000, 1000))
    """
    least = [LEAST_FINENESS * n for n in geometry.volume_shape]
    if any(n < wanted for n, wanted in zip(volume.shape[2:], least)):
        raise ValueError(
            f"a scan for {list(geometry.volume_shape)} voxels takes a volume of at least {least}, not "
            f"{list(volume.shape[2:])}; project_own_voxels does without."
        )
    rays = [rays_per_pixel * n for n in geometry.detector_shape]
    projector = ConeBeamProjector(geometry.with_volume(volume.shape[2:]).with_pixels(rays))
    if acquisition is None:
        return unit_integral_to_normalised(torch.nn.functional.avg_pool2d(projector(volume), rays_per_pixel))
    through_rays = acquisition.attenuate(volume, projector, hu_window, generator)
    primary = _over_pixels(through_rays, rays_per_pixel)
    attenuation = acquisition.measure(primary, geometry.pixel_mm, generator)
    return attenuation_to_normalised(attenuation, hu_window, acquisition.mu_water_per_mm)


def project_own_voxels(
    volume: torch.Tensor,
    geometry: ConeBeamGeometry,
    hu_window: Sequence[float],
    acquisition: Acquisition | None = None,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Projects the voxels that will be reconstructed themselves, along one ray through each pixel's centre.

    For comparison with published code, which does this, and for volumes of which nothing finer is known.

    Args:
        volume: [B, 1, X, Y, Z] volume in [0, 1] over the HU window, on the geometry's grid.
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


def simulate_item(
    item: Mapping[Any, Any],
    geometry: ConeBeamGeometry,
    hu_window: Sequence[float],
    acquisition: Acquisition | None = None,
    generator: torch.Generator | None = None,
    device: str | torch.device = "cpu",
    key: str = "image",
) -> torch.Tensor:
    """Simulates the scan of an item: of its finer volume, or of the reconstruction's own voxels if it has no other.

    Args:
        item: has "fine" [1, X, Y, Z], or the volume of ``key``, in [0, 1] over the HU window.
        geometry: the scan.
        hu_window: HU at 0 and 1.
        acquisition: noise and other physics; exact line integrals if None.
        generator: source of the randomness, on the device.
        device: device to simulate on.
        key: entry with the volume on the geometry's grid.

    Returns:
        [1, views, V, U] normalised projections.
    """
    simulate, name = (simulate_scan, FINE) if FINE in item else (project_own_voxels, key)
    volume = torch.as_tensor(item[name]).as_subclass(torch.Tensor).to(device)
    return simulate(volume.float()[None], geometry, hu_window, acquisition, generator)


def describe_scan(shape: Sequence[int], of: str = "") -> str:
    """How a scan of a finer volume was made, in words.

    Args:
        shape: voxels (x, y, z) of the volume.
        of: what the volume shows, such as "CT of 1x1x3 mm".
    """
    voxels = "x".join(str(int(n)) for n in shape)
    return f"{voxels} voxels{f' of a {of}' if of else ''}; {RAYS_PER_PIXEL}x{RAYS_PER_PIXEL} rays a pixel"


def _over_pixels(attenuation: torch.Tensor, rays: int) -> torch.Tensor:
    """Attenuation [B, views, V, U] of pixels whose rays' intensities add up, of that [B, views, rays V, rays U]."""
    places = itertools.product(range(rays), repeat=2)
    parts = torch.stack([attenuation[..., row::rays, column::rays] for row, column in places])
    return 2.0 * math.log(rays) - torch.logsumexp(-parts, dim=0)

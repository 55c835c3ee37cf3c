"""Classical reconstruction of projections into a file."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import torch

from bundle.classical import DataConsistency, view_residuals
from bundle.classical.methods import Method
from bundle.data.load_projections import grid_affine, unit_to_patient
from bundle.data.projection_file import ProjectionSet
from bundle.data.volume_output import VolumeOutput
from bundle.finite import check_reconstruction
from bundle.fixed_tuples import pair
from bundle.geometry import ConeBeamGeometry
from bundle.physics.attenuation import normalised_to_unit_integral, unit_to_hu
from bundle.physics.noise import DetectorNoise
from bundle.tables import write_rows

__all__ = ["at_own_resolution", "reconstruct_projections"]

_HU_WINDOW = (-1000.0, 1000.0)  # nothing is clipped; one for all, since the weight of total variation depends on it


def at_own_resolution(
    data: ProjectionSet, output_shape: Sequence[int] | None, device: str | torch.device = "cpu"
) -> tuple[torch.Tensor, ConeBeamGeometry, tuple[float, float]]:
    """What a classical method takes: all measured pixels.

    Args:
        data: projections with their geometry.
        output_shape: voxels (x, y, z) over the scan's volume; the geometry's own if None.
        device: where to compute.

    Returns:
        [1, views, V, U] unit integrals in mm, the scan with the output's voxels, and the HU at 0 and 1.
    """
    geometry = data.geometry if output_shape is None else data.geometry.with_volume(output_shape)
    at_air = data.quantity == "attenuation" or data.hu_window[0] == _HU_WINDOW[0]
    window = _HU_WINDOW if at_air else pair(data.hu_window)
    integrals = normalised_to_unit_integral(data.normalised(window)).astype(np.float32)
    return torch.from_numpy(integrals).to(device)[None], geometry, window


def reconstruct_projections(
    data: ProjectionSet,
    method: Method,
    output: VolumeOutput,
    name: str,
    output_shape: Sequence[int] | None = None,
    device: str | torch.device = "cpu",
    residuals: str | os.PathLike | None = None,
    noise: DetectorNoise | None = None,
) -> None:
    """Reconstructs projections at their own resolution and writes the volume in HU and patient coordinates.

    Args:
        data: projections with their geometry.
        method: how to reconstruct.
        output: where the volume goes.
        name: of the method.
        output_shape: voxels (x, y, z) over the scan's volume; the geometry's own if None.
        device: where to compute.
        residuals: CSV file for how well the volume explains each view; none if None.
        noise: the detector's, to compare the residuals with.

    Raises:
        InputError: when the method cannot reconstruct the scan, gives NaN, or a file cannot be written.
    """
    projections, geometry, window = at_own_resolution(data, output_shape, device)
    with torch.no_grad():
        volume = method(projections, geometry)[0]
        check_reconstruction(volume, name, f"the scan for {output.path}")
        if residuals is not None:
            known = DataConsistency(noise=noise, hu_window=window, mu_water_per_mm=data.mu_water_per_mm)
            variance = known.noise_variance(projections[0])
            rows = [view.row() for view in view_residuals(volume, projections[0], geometry, variance)]
            write_rows(rows, residuals)
    hu = unit_to_hu(volume[0].cpu().numpy(), window)
    output.write(hu, grid_affine(unit_to_patient(data), geometry.volume_shape), name)

"""Classical reconstruction of projections into a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from bundle.classical import view_residuals
from bundle.classical.methods import Method
from bundle.data.ct_volume import write_hu
from bundle.data.load_projections import grid_affine, unit_to_patient
from bundle.data.projection_file import ProjectionSet
from bundle.physics.attenuation import normalised_to_unit_integral, unit_to_hu
from bundle.tables import write_rows

__all__ = ["reconstruct_projections"]

_HU_WINDOW = (-1000.0, 1000.0)  # any window that starts at air gives the same HU: nothing is clipped


def reconstruct_projections(
    data: ProjectionSet,
    method: Method,
    output: str | os.PathLike,
    output_shape: Sequence[int] | None = None,
    device: str | torch.device = "cpu",
    residuals: str | os.PathLike | None = None,
) -> None:
    """Reconstructs projections at their own resolution and writes the volume in HU and patient coordinates.

    Args:
        data: projections with their geometry.
        method: how to reconstruct.
        output: NIfTI file.
        output_shape: voxels (x, y, z) over the scan's volume; the geometry's own if None.
        device: where to compute.
        residuals: CSV file for how well the volume explains each view; none if None.

    Raises:
        InputError: when the method cannot reconstruct the scan, or a file cannot be written.
    """
    geometry = data.geometry if output_shape is None else data.geometry.with_volume(output_shape)
    data = replace(data, geometry=geometry)
    window = tuple(data.hu_window) if data.quantity == "normalised" else _HU_WINDOW
    integrals = normalised_to_unit_integral(data.normalised(window)).astype(np.float32)
    projections = torch.from_numpy(integrals).to(device)[None]
    with torch.no_grad():
        volume = method(projections, geometry)[0]
        if residuals is not None:
            rows = [view.row() for view in view_residuals(volume, projections[0], geometry)]
            write_rows(rows, residuals)
    hu = unit_to_hu(volume[0].cpu().numpy(), window)
    write_hu(hu, grid_affine(unit_to_patient(data), geometry.volume_shape), output)

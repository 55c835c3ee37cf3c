"""Joseph's method compiled for the CPU by Numba, the fastest backend there.

On a level gantry the detector's columns run along z. All rays of one detector column then cross a slice of the volume
on one vertical line: a slice costs one interpolation between two columns of voxels, shared by all rows, and one along z
for each row, instead of a bilinear one for each pixel. Rays of tilted detectors, and steep ones whose main axis is z,
are followed one by one.

Threads own detector columns in the projection and slices in its adjoint, so that none writes where another does, and
sums are the same in every run.
"""

from __future__ import annotations

import numpy as np
import torch

from bundle.optional import require
from bundle.projector.rays import ScanRays
from bundle.threads import in_threads

__all__ = ["back_project", "project", "unavailable"]


def unavailable(device: torch.device) -> str | None:
    """Why this backend cannot run on a device; None if it can."""
    if device.type != "cpu":
        return f"it runs on the CPU, not on {device}"
    try:
        require("numba", "numba", "the projector's backend numba")
    except ImportError as error:
        return str(error)
    return None


def project(volume: torch.Tensor, rays: ScanRays, max_memory_bytes: float) -> torch.Tensor:
    """Projects [B, X, Y, Z] float32 to [B, views, V, U]; needs no temporary memory."""
    from bundle.projector import numba_kernels

    geometry = rays.geometry
    volumes = volume.contiguous().numpy()
    out = np.zeros((len(volumes), geometry.num_views, *geometry.detector_shape), dtype=np.float32)
    columns = geometry.num_views * geometry.detector_shape[1]
    voxel_mm = np.array(geometry.voxel_mm)
    steps = _steps(rays)
    for i in range(len(volumes)):
        in_threads(numba_kernels.project, columns, steps, volumes[i], *rays.vectors, rays.level, voxel_mm, out[i])
    return torch.from_numpy(out)


def back_project(projections: torch.Tensor, rays: ScanRays, max_memory_bytes: float) -> torch.Tensor:
    """The exact adjoint: [B, views, V, U] float32 to [B, X, Y, Z]; needs one item's projections of memory."""
    from bundle.projector import numba_kernels

    geometry = rays.geometry
    values = projections.contiguous().numpy()
    out = np.zeros((len(values), *geometry.volume_shape), dtype=np.float32)
    rows, columns = geometry.detector_shape
    weighted = np.empty((geometry.num_views, columns, rows), dtype=np.float32)
    voxel_mm = np.array(geometry.voxel_mm)
    for i in range(len(values)):
        numba_kernels.weigh(values[i], *rays.vectors, voxel_mm, weighted)
        for axis in rays.main_axes:
            slices = geometry.volume_shape[axis]
            in_threads(
                numba_kernels.back_project, slices, _steps(rays), weighted, *rays.vectors, rays.level, out[i], axis
            )
    return torch.from_numpy(out)


def _steps(rays: ScanRays) -> float:
    """Rays times slices."""
    geometry = rays.geometry
    return geometry.num_views * float(np.prod(geometry.detector_shape)) * max(geometry.volume_shape)

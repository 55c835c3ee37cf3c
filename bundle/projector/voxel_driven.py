"""Voxel-driven back-projection, with the distance weight of filtered back-projection."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from bundle.geometry import ConeBeamGeometry
from bundle.projector.backends import BACKENDS, choose_backend
from bundle.threads import in_threads

__all__ = ["weighted_back_projection"]

_VOXELS_AT_ONCE = 2**22


def weighted_back_projection(projections: torch.Tensor, geometry: ConeBeamGeometry) -> torch.Tensor:
    """Sums, for every voxel, the projections where its rays meet the detector, times (SOD / depth)^2.

    Depth is the voxel's distance from the source along the detector's normal, SOD that of the isocentre. Projections
    are interpolated bilinearly, and zero outside the detector. Numba, where installed, does the work on the CPU.

    Args:
        projections: [B, views, V, U].
        geometry: the scan.

    Returns:
        [B, 1, X, Y, Z].
    """
    matrices = _index_matrices(geometry)
    if choose_backend("auto", projections) is BACKENDS["numba"] and not projections.requires_grad:
        from bundle.projector import numba_kernels

        values = projections.numpy().swapaxes(2, 3).copy()  # rows contiguous, along which z runs
        out = np.zeros((len(values), *geometry.volume_shape), dtype=np.float32)
        steps = geometry.num_views * float(np.prod(geometry.volume_shape))
        for i in range(len(values)):
            in_threads(numba_kernels.back_project_voxels, geometry.volume_shape[0], steps, values[i], matrices, out[i])
        return torch.from_numpy(out)[:, None]
    return _reference(projections, geometry, matrices)


def _reference(projections: torch.Tensor, geometry: ConeBeamGeometry, matrices: np.ndarray) -> torch.Tensor:
    """In PyTorch, slab by slab along x."""
    rows, columns = geometry.detector_shape
    size_x, size_y, size_z = geometry.volume_shape
    like: dict[str, Any] = {"device": projections.device, "dtype": projections.dtype}
    y, z = torch.meshgrid(torch.arange(size_y, **like), torch.arange(size_z, **like), indexing="ij")
    slab = max(1, _VOXELS_AT_ONCE // (size_y * size_z))
    slabs = []
    for first in range(0, size_x, slab):
        x = torch.arange(first, min(first + slab, size_x), **like)[:, None, None]
        total = torch.zeros((), **like)
        for view, matrix in enumerate(matrices.tolist()):
            v, u, depth = (row[0] * x + row[1] * y + row[2] * z + row[3] for row in matrix)
            grid = torch.stack([(2 * u / depth + 1) / columns - 1, (2 * v / depth + 1) / rows - 1], dim=-1)
            grid = grid.flatten(0, 1).expand(len(projections), -1, -1, -1)
            samples = F.grid_sample(projections[:, view : view + 1], grid, align_corners=False)
            total = total + samples.unflatten(2, (len(x), size_y)) / depth**2
        slabs.append(total)
    return torch.cat(slabs, dim=2)


def _index_matrices(geometry: ConeBeamGeometry) -> np.ndarray:
    """[views, 3, 4] from voxel indices to (row w, column w, w), w the depth in units of the isocentre's."""
    matrices = geometry.projection_matrices() @ geometry.volume_affine
    isocentre_depth = np.abs(np.sum(geometry.source_mm * geometry.normal, axis=1))
    centre = np.append((np.array(geometry.volume_shape) - 1) / 2, 1.0)
    sign = np.sign(matrices[:, 2] @ centre)
    matrices = matrices * (sign / isocentre_depth)[:, None, None]
    for axis in range(2):
        matrices[:, axis] /= geometry.pixel_mm[axis]
        matrices[:, axis] += (geometry.detector_shape[axis] - 1) / 2 * matrices[:, 2]
    return matrices

"""Joseph's method by Triton kernels, for CUDA devices.

With the environment variable TRITON_INTERPRET=1, set before Triton is imported, the same kernels run in Triton's
interpreter on the CPU: slowly, for tests.
"""

from __future__ import annotations

import os

import torch

from bundle.optional import require
from bundle.projector.rays import ScanRays

__all__ = ["back_project", "project", "unavailable"]

_BLOCK = 256  # pixels per program


def unavailable(device: torch.device) -> str | None:
    """Why this backend cannot run on a device; None if it can."""
    if device.type != "cuda" and not (device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"):
        return f"it runs on CUDA devices, not on {device}"
    try:
        require("triton", "triton", "the projector's backend triton")
    except ImportError as error:
        return str(error)
    return None


def project(volume: torch.Tensor, rays: ScanRays, max_memory_bytes: float) -> torch.Tensor:
    """Projects [B, X, Y, Z] float32 to [B, views, V, U]; needs no temporary memory."""
    from bundle.projector import triton_kernels

    geometry = rays.geometry
    out = volume.new_empty(len(volume), geometry.num_views, *geometry.detector_shape)
    _launch(triton_kernels.project, volume.contiguous(), out, len(volume), rays)
    return out


def back_project(projections: torch.Tensor, rays: ScanRays, max_memory_bytes: float) -> torch.Tensor:
    """The exact adjoint: [B, views, V, U] float32 to [B, X, Y, Z]; needs no temporary memory.

    Additions to a voxel come in any order, so that results may differ in their last digits from run to run.
    """
    from bundle.projector import triton_kernels

    out = projections.new_zeros(len(projections), *rays.geometry.volume_shape)
    _launch(triton_kernels.back_project, projections.contiguous(), out, len(projections), rays)
    return out


def _launch(kernel: object, data: torch.Tensor, out: torch.Tensor, batch: int, rays: ScanRays) -> None:
    geometry = rays.geometry
    packed = torch.cat([torch.as_tensor(part) for part in rays.vectors], dim=1)
    vectors = packed.to(torch.float32).to(data.device, non_blocking=True)
    rows, columns = geometry.detector_shape
    grid = (-(-rows * columns // _BLOCK), geometry.num_views, batch)
    sizes = (geometry.num_views, rows, columns, *geometry.volume_shape, max(geometry.volume_shape))
    with torch.cuda.device_of(data):
        kernel[grid](data, vectors, out, *sizes, *geometry.voxel_mm, BLOCK=_BLOCK)  # type: ignore[index]

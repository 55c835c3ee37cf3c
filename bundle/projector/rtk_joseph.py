"""Joseph's method of the Reconstruction Toolkit, on the CPU: the independent backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from bundle.geometry import ConeBeamGeometry
from bundle.projector.rays import ScanRays

__all__ = ["back_project", "project", "unavailable"]


def unavailable(device: torch.device) -> str | None:
    """Why this backend cannot run on a device; None if it can."""
    if device.type != "cpu":
        return f"it runs on the CPU, not on {device}"
    from bundle.rtk.toolkit import itk_and_rtk

    try:
        itk_and_rtk("the projector's backend rtk")
    except ImportError as error:
        return str(error)
    return None


def project(volume: torch.Tensor, rays: ScanRays, max_memory_bytes: float) -> torch.Tensor:
    """Projects [B, X, Y, Z] float32 to [B, views, V, U]."""
    from bundle.rtk.images import empty_projections, volume_to_itk

    geometry, flipped = _for_rtk(rays.geometry)
    out = np.empty((len(volume), geometry.num_views, *geometry.detector_shape), dtype=np.float32)
    for i, item in enumerate(volume.numpy()):
        image = volume_to_itk(item, geometry)
        out[i] = _run("JosephForwardProjectionImageFilter", empty_projections(geometry), image, geometry)
    return torch.from_numpy(np.ascontiguousarray(out[:, :, ::-1]) if flipped else out)


def back_project(projections: torch.Tensor, rays: ScanRays, max_memory_bytes: float) -> torch.Tensor:
    """The adjoint: [B, views, V, U] float32 to [B, X, Y, Z]."""
    from bundle.rtk.images import empty_volume, projections_to_itk

    geometry, flipped = _for_rtk(rays.geometry)
    values = projections.flip(2) if flipped else projections
    out = np.empty((len(values), *geometry.volume_shape), dtype=np.float32)
    for i, item in enumerate(values.numpy()):
        stack = projections_to_itk(item, geometry)
        image = _run("JosephBackProjectionImageFilter", empty_volume(geometry), stack, geometry)
        out[i] = image.transpose(0, 2, 1)
    return torch.from_numpy(out)


def _for_rtk(geometry: ConeBeamGeometry) -> tuple[ConeBeamGeometry, bool]:
    """The same scan as RTK can describe it, and whether its detector rows are flipped for that."""
    from bundle.rtk.geometry import faces_source, with_real_detector

    geometry = with_real_detector(geometry)
    return (geometry, False) if faces_source(geometry) else (geometry.flip_rows(), True)


def _run(name: str, empty: Any, data: Any, geometry: ConeBeamGeometry) -> np.ndarray:
    from bundle.rtk.geometry import to_rtk
    from bundle.rtk.toolkit import image_type, itk_and_rtk

    itk, rtk = itk_and_rtk("the projector's backend rtk")
    run = getattr(rtk, name)[image_type(), image_type()].New()
    run.SetInput(0, empty.GetOutput())
    run.SetInput(1, data)
    run.SetGeometry(to_rtk(geometry))
    run.Update()
    return itk.array_from_image(run.GetOutput())

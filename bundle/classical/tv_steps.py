"""The steps of total-variation minimisation in the volume.

Compiled by Numba on CPUs and by Triton on CUDA devices, where these are installed; else in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from bundle.threads import in_threads

__all__ = ["gradient", "gradient_adjoint", "move_edges", "move_volume"]

_STEPS_PER_VOXEL = 10


def gradient(volume: torch.Tensor, scales: Sequence[float] = (1.0, 1.0, 1.0)) -> torch.Tensor:
    """[B, 1, X, Y, Z] to [B, 3, X, Y, Z] differences to the next voxel, scaled by axis, zero at the far faces."""
    out = volume.new_zeros(len(volume), 3, *volume.shape[2:])
    for axis, scale in enumerate(scales):
        size = volume.shape[axis + 2]
        out[:, axis : axis + 1].narrow(axis + 2, 0, size - 1).copy_(scale * volume.diff(dim=axis + 2))
    return out


def gradient_adjoint(field: torch.Tensor, scales: Sequence[float] = (1.0, 1.0, 1.0)) -> torch.Tensor:
    """The transpose of :func:`gradient`: [B, 3, X, Y, Z] to [B, 1, X, Y, Z]."""
    out = field.new_zeros(len(field), 1, *field.shape[2:])
    for axis, scale in enumerate(scales):
        size = field.shape[axis + 2]
        inner = scale * field[:, axis : axis + 1].narrow(axis + 2, 0, size - 1)
        out.narrow(axis + 2, 0, size - 1).sub_(inner)
        out.narrow(axis + 2, 1, size - 1).add_(inner)
    return out


def move_edges(
    edges: torch.Tensor,
    ahead: torch.Tensor,
    volume: torch.Tensor,
    step: float,
    weight: float,
    scales: Sequence[float] = (1.0, 1.0, 1.0),
) -> None:
    """Moves the dual variable of the gradient, shortens it to the weight, and looks ahead, in place.

    Args:
        edges: [B, 3, X, Y, Z]; changed.
        ahead: [B, 3, X, Y, Z] twice the new edges less the old ones; overwritten.
        volume: [B, 1, X, Y, Z].
        step: step size.
        weight: of the total variation.
        scales: of the gradient along each axis.
    """
    if _on_gpu(edges, ahead, volume):
        from bundle.classical import tv_triton

        tv_triton.move_edges(edges, ahead, volume, step, weight, scales)
        return
    if _compiled(edges):
        from bundle.classical import tv_numba_kernels as kernels

        for item in zip(edges.numpy(), ahead.numpy(), volume[:, 0].numpy()):
            _in_threads(kernels.move_edges, *item, step, weight, *scales)
        return
    moved = edges + step * gradient(volume, scales)
    length = moved.square().sum(dim=1, keepdim=True).sqrt()
    moved *= torch.where(length > weight, weight / length, 1.0)
    torch.sub(2.0 * moved, edges, out=ahead)
    edges.copy_(moved)


def move_volume(
    volume: torch.Tensor,
    spread: torch.Tensor,
    edges: torch.Tensor,
    step: torch.Tensor,
    scales: Sequence[float] = (1.0, 1.0, 1.0),
) -> None:
    """Moves the volume down and keeps it from falling below zero, in place.

    Args:
        volume: [B, 1, X, Y, Z]; changed.
        spread: [B, 1, X, Y, Z] the adjoint of the rays' dual variable.
        edges: [B, 3, X, Y, Z] the gradient's dual variable.
        step: [1, 1, X, Y, Z] step sizes.
        scales: of the gradient along each axis.
    """
    if _on_gpu(volume, edges):
        from bundle.classical import tv_triton

        tv_triton.move_volume(volume, spread, edges, step, scales)
        return
    if _compiled(volume):
        from bundle.classical import tv_numba_kernels as kernels

        for item in zip(volume[:, 0].numpy(), spread[:, 0].contiguous().numpy(), edges.numpy()):
            _in_threads(kernels.move_volume, *item, step[0, 0].contiguous().numpy(), *scales)
        return
    volume.copy_((volume - step * (spread + gradient_adjoint(edges, scales))).clamp(min=0.0))


def _compiled(tensor: torch.Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.dtype == torch.float32 and find_spec("numba") is not None


def _on_gpu(*changed: torch.Tensor) -> bool:
    fits = (t.is_cuda and t.dtype == torch.float32 and t.is_contiguous() for t in changed)
    return all(fits) and find_spec("triton") is not None


def _in_threads(kernel: Callable, volume: np.ndarray, *arguments: Any) -> None:
    """Runs a kernel over the slices of the array [.., X, Y, Z] that is its first argument."""
    numbers = [np.float32(one) if isinstance(one, float) else one for one in arguments]
    in_threads(kernel, volume.shape[-3], _STEPS_PER_VOXEL * volume.size, volume, *numbers)

"""The steps of total-variation minimisation in the volume: compiled by Numba on a CPU that has it, else in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from bundle.threads import in_threads

__all__ = ["gradient", "gradient_adjoint", "move_edges", "move_volume"]

_STEPS_PER_VOXEL = 10


def gradient(volume: torch.Tensor) -> torch.Tensor:
    """[B, 1, X, Y, Z] to [B, 3, X, Y, Z] differences to the next voxel, zero at the far faces."""
    out = volume.new_zeros(len(volume), 3, *volume.shape[2:])
    for axis in range(3):
        size = volume.shape[axis + 2]
        out[:, axis : axis + 1].narrow(axis + 2, 0, size - 1).copy_(volume.diff(dim=axis + 2))
    return out


def gradient_adjoint(field: torch.Tensor) -> torch.Tensor:
    """The transpose of :func:`gradient`: [B, 3, X, Y, Z] to [B, 1, X, Y, Z]."""
    out = field.new_zeros(len(field), 1, *field.shape[2:])
    for axis in range(3):
        size = field.shape[axis + 2]
        inner = field[:, axis : axis + 1].narrow(axis + 2, 0, size - 1)
        out.narrow(axis + 2, 0, size - 1).sub_(inner)
        out.narrow(axis + 2, 1, size - 1).add_(inner)
    return out


def move_edges(edges: torch.Tensor, ahead: torch.Tensor, step: float, weight: float) -> None:
    """Moves the dual variable of the gradient, and shortens it to the weight, in place.

    Args:
        edges: [B, 3, X, Y, Z].
        ahead: [B, 1, X, Y, Z].
        step: step size.
        weight: of the total variation.
    """
    if _compiled(edges):
        from bundle.classical import tv_numba_kernels as kernels

        for item, volume in zip(edges.numpy(), ahead.numpy()):
            _in_threads(kernels.move_edges, item, volume[0], step, weight)
        return
    edges += step * gradient(ahead)
    length = edges.square().sum(dim=1, keepdim=True).sqrt()
    edges *= torch.where(length > weight, weight / length, 1.0)


def move_volume(
    volume: torch.Tensor, ahead: torch.Tensor, edges: torch.Tensor, spread: torch.Tensor, step: torch.Tensor
) -> None:
    """Moves the volume down, keeps it from falling below zero, and looks ahead, in place.

    Args:
        volume: [B, 1, X, Y, Z]; changed.
        ahead: [B, 1, X, Y, Z] twice the new volume less the old one; overwritten.
        edges: [B, 3, X, Y, Z] the gradient's dual variable.
        spread: [B, 1, X, Y, Z] the adjoint of the rays' dual variable.
        step: [1, 1, X, Y, Z] step sizes.
    """
    if _compiled(volume):
        from bundle.classical import tv_numba_kernels as kernels

        for item in zip(volume[:, 0].numpy(), ahead[:, 0].numpy(), edges.numpy(), spread[:, 0].contiguous().numpy()):
            _in_threads(kernels.move_volume, *item, step[0, 0].contiguous().numpy())
        return
    moved = (volume - step * (spread + gradient_adjoint(edges))).clamp(min=0.0)
    torch.sub(2.0 * moved, volume, out=ahead)
    volume.copy_(moved)


def _compiled(tensor: torch.Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.dtype == torch.float32 and find_spec("numba") is not None


def _in_threads(kernel: Callable, volume: np.ndarray, *arguments: Any) -> None:
    """Runs a kernel over the slices of the array [.., X, Y, Z] that is its first argument."""
    numbers = [np.float32(one) if isinstance(one, float) else one for one in arguments]
    in_threads(kernel, volume.shape[-3], _STEPS_PER_VOXEL * volume.size, volume, *numbers)

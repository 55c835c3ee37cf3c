"""The steps of total-variation minimisation by Triton kernels, for CUDA devices.

With the environment variable TRITON_INTERPRET=1, set before Triton is imported, the same kernels run in Triton's
interpreter on the CPU: slowly, for tests.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

__all__ = ["move_edges", "move_volume"]

_BLOCK = 512  # voxels per program


def move_edges(
    edges: torch.Tensor, ahead: torch.Tensor, volume: torch.Tensor, step: float, weight: float, scales: Sequence[float]
) -> None:
    """See bundle.classical.tv_steps; in place, contiguous single precision."""
    from bundle.classical import tv_triton_kernels

    _launch(tv_triton_kernels.move_edges, (edges, ahead, volume), volume, float(step), float(weight), *scales)


def move_volume(
    volume: torch.Tensor, spread: torch.Tensor, edges: torch.Tensor, step: torch.Tensor, scales: Sequence[float]
) -> None:
    """See bundle.classical.tv_steps; in place, contiguous single precision."""
    from bundle.classical import tv_triton_kernels

    _launch(tv_triton_kernels.move_volume, (volume, spread.contiguous(), edges, step.contiguous()), volume, *scales)


def _launch(kernel: object, tensors: tuple[torch.Tensor, ...], volume: torch.Tensor, *numbers: float) -> None:
    """Starts a kernel over blocks of voxels, and items."""
    batch, _, *sizes = volume.shape
    grid = (-(-volume[0].numel() // _BLOCK), batch)
    with torch.cuda.device_of(volume):
        kernel[grid](*tensors, *map(float, numbers), *sizes, BLOCK=_BLOCK)  # type: ignore[index]

"""Largest sample over the views by Triton kernels, for CUDA devices.

With the environment variable TRITON_INTERPRET=1, set before Triton is imported, the same kernels run in Triton's
interpreter on the CPU: slowly, for tests.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch

from bundle.networks.view_maximum_torch import channels_last, index_type
from bundle.optional import require

__all__ = ["scatter", "unavailable", "view_maximum"]

_POINTS = 16  # per program
_MOST_CHANNELS = 64  # per program


def unavailable(device: torch.device) -> str | None:
    """Why this backend cannot run on a device; None if it can."""
    if device.type != "cuda" and not (device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"):
        return f"it runs on CUDA devices, not on {device}"
    try:
        require("triton", "triton", "the view maximum's backend triton")
    except ImportError as error:
        return str(error)
    return None


def view_maximum(
    maps: torch.Tensor, coordinates: torch.Tensor, used: torch.Tensor, corner_aligned: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """See bundle.networks.view_maximum_torch; in single precision, from maps in any."""
    from bundle.networks import view_maximum_triton_kernels as kernels

    batch, views, points = coordinates.shape[:3]
    pixels = maps.permute(0, 1, 3, 4, 2).contiguous()
    out = coordinates.new_empty(batch, points, pixels.shape[-1])
    winner = torch.empty(out.shape, dtype=index_type(views), device=out.device)
    tensors = (pixels, coordinates.contiguous(), used.to(torch.uint8).contiguous(), out, winner)
    _launch(kernels.view_maximum, tensors, pixels.shape, views, points, corner_aligned)
    return out, winner


def scatter(
    gradient: torch.Tensor,
    winner: torch.Tensor,
    coordinates: torch.Tensor,
    size: Sequence[int],
    corner_aligned: bool,
) -> torch.Tensor:
    """See bundle.networks.view_maximum_torch; additions come in any order, so that last digits may differ."""
    from bundle.networks import view_maximum_triton_kernels as kernels

    out = channels_last(gradient.new_zeros, size)
    views, points = coordinates.shape[1:3]
    tensors = (gradient.contiguous(), winner, coordinates.contiguous(), out)
    _launch(kernels.scatter, tensors, out.permute(0, 1, 3, 4, 2).shape, views, points, corner_aligned)
    return out


def _launch(kernel: object, tensors: tuple, size: Sequence[int], views: int, points: int, corner_aligned: bool) -> None:
    """Starts a kernel over blocks of points, blocks of channels, and items."""
    batch, all_views, rows, columns, channels = size
    at_once = min(_MOST_CHANNELS, 1 << (channels - 1).bit_length())
    grid = (-(-points // _POINTS), -(-channels // at_once), batch)
    sizes = (views, points, all_views, rows, columns, channels)
    with torch.cuda.device_of(tensors[0]):
        kernel[grid](  # type: ignore[index]
            *tensors, *sizes, CORNER_ALIGNED=corner_aligned, POINTS=_POINTS, CHANNELS=at_once
        )

"""Largest sample over the views on the CPU, compiled by Numba."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from bundle.networks.view_maximum_torch import channels_last, index_type
from bundle.optional import require
from bundle.threads import in_threads

__all__ = ["scatter", "unavailable", "view_maximum"]

_STEPS_PER_SAMPLE = 10


def unavailable(device: torch.device) -> str | None:
    """Why this backend cannot run on a device; None if it can."""
    if device.type != "cpu":
        return f"it runs on the CPU, not on {device}"
    try:
        require("numba", "numba", "the view maximum's backend numba")
    except ImportError as error:
        return str(error)
    return None


def view_maximum(
    maps: torch.Tensor, coordinates: torch.Tensor, used: torch.Tensor, corner_aligned: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """See bundle.networks.view_maximum_torch; in single precision."""
    from bundle.networks import view_maximum_numba_kernels as kernels

    batch, views, points = coordinates.shape[:3]
    pixels = maps.detach().permute(0, 1, 3, 4, 2).float().contiguous()
    channels = pixels.shape[-1]
    out = torch.empty(batch, points, channels)
    winner = torch.empty(out.shape, dtype=index_type(views))
    in_threads(
        kernels.view_maximum,
        batch * -(-points // kernels.POINTS_PER_BLOCK),
        out.numel() * views * _STEPS_PER_SAMPLE,
        pixels.view(-1).numpy(),
        coordinates.detach().contiguous().numpy(),
        used.to(torch.uint8).numpy(),
        tuple(pixels.shape[1:]),
        corner_aligned,
        out.view(-1).numpy(),
        winner.view(-1).numpy(),
    )
    return out, winner


def scatter(
    gradient: torch.Tensor,
    winner: torch.Tensor,
    coordinates: torch.Tensor,
    size: Sequence[int],
    corner_aligned: bool,
) -> torch.Tensor:
    """See bundle.networks.view_maximum_torch; in single precision, and the same in every run."""
    from bundle.networks import view_maximum_numba_kernels as kernels

    # NumPy's zeros are pages that the system clears when they are first written to.
    out = channels_last(lambda shape: torch.from_numpy(np.zeros(shape, np.float32)), size)
    batch, views = coordinates.shape[:2]
    pixels = out.permute(0, 1, 3, 4, 2)
    in_threads(
        kernels.scatter,
        batch * views,
        gradient.numel() * views * _STEPS_PER_SAMPLE,
        gradient.contiguous().view(-1).numpy(),
        winner.view(-1).numpy(),
        coordinates.contiguous().numpy(),
        tuple(pixels.shape[1:]),
        corner_aligned,
        pixels.view(-1).numpy(),
    )
    return out

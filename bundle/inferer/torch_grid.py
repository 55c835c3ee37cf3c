"""Grid decoding in PyTorch operations: runs anywhere, and is the reference of the others."""

from __future__ import annotations

from collections.abc import Callable

import torch

from bundle.networks.grid_decoding import GridTask, decode_planes

__all__ = ["prepare", "unavailable"]


def unavailable(device: torch.device) -> str | None:
    """Why it cannot run on a device; None, since it can."""


def prepare(task: GridTask, points_at_once: int) -> Callable[[int, int, torch.Tensor], None]:
    """Makes the function that decodes planes first to last into out [last - first, Y, Z]."""

    def decode(first: int, last: int, out: torch.Tensor) -> None:
        out.copy_(decode_planes(task, first, last, points_at_once))

    return decode

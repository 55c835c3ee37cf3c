"""Tensors in half precision, for files."""

from __future__ import annotations

import torch

__all__ = ["halved"]

_SMALL = 1024  # tensors with fewer values stay as they are
_HALF = (torch.float16, torch.bfloat16)


def halved(value: torch.Tensor) -> torch.Tensor:
    """A large tensor of single precision in that half precision which loses less; any other as it is."""
    if value.dtype != torch.float32 or value.numel() < _SMALL:
        return value.clone()
    halves = [value.to(kind) for kind in _HALF]
    return min(halves, key=lambda half: float((half.float() - value).abs().nan_to_num(torch.inf).sum()))

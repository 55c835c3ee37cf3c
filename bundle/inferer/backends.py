"""What decodes a regular grid of points.

A backend is a module with two functions: ``unavailable(device)`` says why it cannot run on a device, or None, and
``prepare(task, points_at_once)`` takes a GridTask and gives a function (first, last, out) that decodes the planes
first to last across x into out [last - first, Y, Z]. "numba" and "torch" equal the network's point-wise path within
rounding. Those of REDUCED_PRECISION multiply in half precision, at a PSNR above 60 dB: "numba_bfloat16" on processors
that can, "triton" on GPUs, in bfloat16 where values could leave float16's range.
"""

from __future__ import annotations

from types import ModuleType

import torch

from bundle.backend_choice import choose_backend as choose
from bundle.inferer import numba_bfloat16_grid, numba_grid, torch_grid, triton_grid

__all__ = ["BACKENDS", "REDUCED_PRECISION", "choose_backend"]

BACKENDS: dict[str, ModuleType] = {
    "triton": triton_grid,
    "numba_bfloat16": numba_bfloat16_grid,
    "numba": numba_grid,
    "torch": torch_grid,
}
"""By name."""

REDUCED_PRECISION = ("triton", "numba_bfloat16")

_FASTEST_FIRST = {"cuda": ("triton", "torch"), "cpu": ("numba_bfloat16", "numba", "torch")}


def choose_backend(name: str, device: torch.device) -> ModuleType:
    """The backend of a name, or with "auto" the fastest that can run on a device.

    Raises:
        InputError: when the name is unknown, or that backend cannot run.
    """
    return choose("inferer backend", name, BACKENDS, _FASTEST_FIRST, device)

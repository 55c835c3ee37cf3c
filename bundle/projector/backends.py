"""Choosing what computes the projections.

A backend is a module with three functions: ``unavailable(device)`` says why it cannot run on a device, or None;
``project(volume, rays, max_memory_bytes)`` and ``back_project(projections, rays, max_memory_bytes)`` are Joseph's
method and its exact adjoint on plain tensors, [B, X, Y, Z] and [B, views, V, U]. All give the same numbers within
rounding; for rays at exactly 45 degrees, which two axes have an equal claim to, within the method's own error.
"""

from __future__ import annotations

from types import ModuleType

import torch

from bundle.backend_choice import choose_backend as choose
from bundle.errors import InputError
from bundle.projector import numba_joseph, rtk_joseph, torch_joseph, triton_joseph

__all__ = ["BACKENDS", "choose_backend"]

BACKENDS: dict[str, ModuleType] = {
    "triton": triton_joseph,
    "numba": numba_joseph,
    "rtk": rtk_joseph,
    "torch": torch_joseph,
}
"""By name."""

_FASTEST_FIRST = {"cuda": ("triton", "torch"), "cpu": ("numba", "rtk", "torch")}


def choose_backend(name: str, tensor: torch.Tensor) -> ModuleType:
    """The backend for a tensor.

    Args:
        name: one of BACKENDS, or "auto" for the fastest that can run. Double precision is the reference's alone.
        tensor: gives device and precision.

    Raises:
        InputError: when the name is unknown, or that backend cannot run.
    """
    double = tensor.dtype == torch.float64
    if name == "auto" and double:
        return torch_joseph
    backend = choose("projector backend", name, BACKENDS, _FASTEST_FIRST, tensor.device)
    if double and backend is not torch_joseph:
        problem = "cannot be used: it computes in single precision, and the data is double."
        raise InputError(f"projector backend {name}", problem, "Use auto.")
    return backend

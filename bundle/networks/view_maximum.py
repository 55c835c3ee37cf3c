"""Largest sample over the views as one operation, which keeps nothing of the size views x points.

Stacking every view's samples takes [B, views, C, points] values, several times over once gradients are wanted. Here
the maximum runs along with the views. All that the gradient needs of it is which view won, so that it can go to that
view's map alone: the first of several with the same sample.

A backend has two functions: ``unavailable(device)``, see bundle.backend_choice, and those that compute,
``view_maximum`` and ``scatter``, as in bundle.networks.view_maximum_torch.
"""

from __future__ import annotations

from types import ModuleType

import torch

from bundle.backend_choice import choose_backend
from bundle.networks import view_maximum_numba, view_maximum_torch, view_maximum_triton
from bundle.networks.view_maximum_torch import channels_last, index_type

__all__ = ["BACKENDS", "view_maximum"]

BACKENDS: dict[str, ModuleType] = {
    "triton": view_maximum_triton,
    "numba": view_maximum_numba,
    "torch": view_maximum_torch,
}
"""By name."""

_FASTEST_FIRST = {"cuda": ("triton", "torch"), "cpu": ("numba", "torch")}


def view_maximum(
    maps: torch.Tensor, coordinates: torch.Tensor, used: torch.Tensor, corner_aligned: bool, backend: str = "auto"
) -> torch.Tensor:
    """Samples the first m views' maps bilinearly, zero outside the detector, and keeps the largest value.

    Computes in the coordinates' precision and gives it; the gradient of the maps has their own. Coordinates get none.

    Args:
        maps: [B, views, C, V, U] features; channels last ([B, views, V, U, C] in memory) saves a copy.
        coordinates: [B, m, points, 2] (v, u), -1 and 1 at the detector's edges.
        used: [B, m], true for the views to use.
        corner_aligned: put -1 and 1 on the centres of the outer pixels instead of on their edges.
        backend: "auto", or one of :data:`BACKENDS`.

    Returns:
        [B, points, C]; minus infinity for an item of which no view is used.

    Raises:
        InputError: when the backend cannot run on the maps' device.
    """
    return _view_maximum(maps, coordinates, used, corner_aligned, backend)[0]


def _choose(backend: str, tensor: torch.Tensor) -> ModuleType:
    """The compiled ones compute in single precision."""
    if tensor.dtype == torch.float64:
        backend = "torch"
    return choose_backend("backend of the view maximum", backend, BACKENDS, _FASTEST_FIRST, tensor.device)


@torch.library.custom_op("deepsparse::view_maximum", mutates_args=())
def _view_maximum(
    maps: torch.Tensor, coordinates: torch.Tensor, used: torch.Tensor, corner_aligned: bool, backend: str
) -> tuple[torch.Tensor, torch.Tensor]:
    return _choose(backend, coordinates).view_maximum(maps, coordinates, used, corner_aligned)


@_view_maximum.register_fake
def _(maps, coordinates, used, corner_aligned, backend):
    shape = (maps.shape[0], coordinates.shape[2], maps.shape[2])
    return coordinates.new_empty(shape), coordinates.new_empty(shape, dtype=index_type(coordinates.shape[1]))


@torch.library.custom_op("deepsparse::view_maximum_backward", mutates_args=())
def _scatter(
    gradient: torch.Tensor,
    winner: torch.Tensor,
    coordinates: torch.Tensor,
    size: list[int],
    corner_aligned: bool,
    backend: str,
) -> torch.Tensor:
    gradient = gradient.to(coordinates.dtype)
    return _choose(backend, coordinates).scatter(gradient, winner, coordinates, size, corner_aligned)


@_scatter.register_fake
def _(gradient, winner, coordinates, size, corner_aligned, backend):
    return channels_last(coordinates.new_empty, size)


def _keep(ctx, inputs, output):
    maps, coordinates, _, ctx.corner_aligned, ctx.backend = inputs
    ctx.size, ctx.dtype = list(maps.shape), maps.dtype
    ctx.save_for_backward(coordinates, output[1])
    ctx.set_materialize_grads(False)


def _gradient(ctx, gradient, _):
    coordinates, winner = ctx.saved_tensors
    maps = None
    if gradient is not None and ctx.needs_input_grad[0]:
        maps = _scatter(gradient, winner, coordinates, ctx.size, ctx.corner_aligned, ctx.backend).to(ctx.dtype)
    return maps, None, None, None, None


_view_maximum.register_autograd(_gradient, setup_context=_keep)

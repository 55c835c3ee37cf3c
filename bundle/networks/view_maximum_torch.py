"""Largest sample over the views in plain PyTorch: the reference, which runs on every device and in every precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from bundle.networks.feature_sampling import sample_maps

__all__ = ["channels_last", "index_type", "scatter", "unavailable", "view_maximum"]


def unavailable(device: torch.device) -> str | None:
    """Why this backend cannot run on a device; None, since it always can."""
    return None


def index_type(views: int) -> torch.dtype:
    """The smallest type that holds the views' indices and their number."""
    return torch.uint8 if views <= 255 else torch.int32


def channels_last(new: Callable[..., torch.Tensor], size: Sequence[int]) -> torch.Tensor:
    """Maps [B, views, C, V, U] of the given size, channels last in memory, by a function such as tensor.new_zeros."""
    batch, views, channels, rows, columns = size
    return new((batch, views, rows, columns, channels)).permute(0, 1, 4, 2, 3)


def view_maximum(
    maps: torch.Tensor, coordinates: torch.Tensor, used: torch.Tensor, corner_aligned: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Largest samples and the views that have them; the arguments are those of bundle.networks.view_maximum.

    Returns:
        [B, points, C] values, and as many indices of views; the number m of views where none is used.
    """
    batch, views, points = coordinates.shape[:3]
    shape = (batch, maps.shape[2], points)
    best = coordinates.new_full(shape, float("-inf"))
    winner = torch.full(shape, views, dtype=index_type(views), device=maps.device)
    for view in range(views):
        this = slice(view, view + 1)
        sample = sample_maps(maps[:, this].to(coordinates.dtype), coordinates[:, this], corner_aligned)[:, 0]
        larger = ((sample > best) | sample.isnan()) & used[:, this, None].bool()  # what is not a number stays
        best = torch.where(larger, sample, best)
        winner.masked_fill_(larger, view)
    return best.transpose(1, 2).contiguous(), winner.transpose(1, 2).contiguous()


def scatter(
    gradient: torch.Tensor,
    winner: torch.Tensor,
    coordinates: torch.Tensor,
    size: Sequence[int],
    corner_aligned: bool,
) -> torch.Tensor:
    """The gradient of the maps.

    Args:
        gradient: [B, points, C] of the values.
        winner: from :func:`view_maximum`.
        coordinates: as there.
        size: the maps' (B, views, C, V, U).
        corner_aligned: as there.

    Returns:
        [B, views, C, V, U], channels last in memory; zero for views beyond the first m.
    """
    out = channels_last(gradient.new_zeros, size)
    for view in range(coordinates.shape[1]):
        share = gradient.where(winner == view, 0.0).transpose(1, 2).unsqueeze(2).contiguous()
        grid = coordinates[:, view].flip(-1).unsqueeze(1)
        # The backward pass of grid_sample alone (bilinear = 0, zeros = 0): interpolation is linear, so that it needs
        # the maps' shape, not their values.
        out[:, view] = torch.ops.aten.grid_sampler_2d_backward(
            share, torch.empty_like(out[:, view]), grid, 0, 0, corner_aligned, [True, False]
        )[0]
    return out

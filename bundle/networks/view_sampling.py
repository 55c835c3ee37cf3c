"""Largest sample of a feature map over the views, by one operation where that can be."""

from __future__ import annotations

from typing import Optional

import torch

from bundle.networks.feature_sampling import max_over_views, sample_maps, takes_fused_operations
from bundle.networks.view_maximum import view_maximum

__all__ = ["largest_samples"]


def largest_samples(
    features: torch.Tensor, coordinates: torch.Tensor, view_mask: Optional[torch.Tensor], corner_aligned: bool
) -> torch.Tensor:
    """Samples the first m views' maps, zero outside the detector, and keeps the largest value.

    TorchScript and exported programs stack all views' samples, by operations that every runtime has.

    Args:
        features: [B, views, C, rows, columns].
        coordinates: [B, m, points, 2] from detector_coordinates.
        view_mask: [B, m], true for the views to use; None for all m.
        corner_aligned: see sample_maps.

    Returns:
        [B, C, points], channels last in memory unless exported.
    """
    if not torch.jit.is_scripting():  # noqa: SIM102 (TorchScript would compile what follows an "and")
        if takes_fused_operations(coordinates):
            used = coordinates.new_ones(coordinates.shape[:2], dtype=torch.bool) if view_mask is None else view_mask
            return view_maximum(features, coordinates, used, corner_aligned).transpose(1, 2)
    return max_over_views(sample_maps(features[:, : coordinates.shape[1]], coordinates, corner_aligned), view_mask)

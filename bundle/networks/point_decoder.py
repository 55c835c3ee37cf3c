"""Point decoder: features of a point to its attenuation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from bundle.networks.blocks import ACTIVATION

__all__ = ["PointDecoder"]


class PointDecoder(nn.Module):
    """MLP on points in which every layer after the first also sees the input features (DeepSparse, equation 7).

    Args:
        in_channels: features per point.
        widths: channels of the hidden layers.
        head: "linear" for a bare last layer, "norm_act" for one followed by BN and LeakyReLU (published weights).
    """

    def __init__(self, in_channels: int, widths: Sequence[int], head: str = "linear") -> None:
        super().__init__()
        if head not in ("linear", "norm_act"):
            raise ValueError(f"head is {head!r}; use 'linear' or 'norm_act'.")
        layers = []
        before = in_channels
        for i, width in enumerate([*widths, 1]):
            layer: list[nn.Module] = [nn.Conv1d(before, width, kernel_size=1)]
            if i < len(widths) or head == "norm_act":
                layer += [nn.BatchNorm1d(width), nn.LeakyReLU(ACTIVATION[1]["negative_slope"])]
            layers.append(nn.Sequential(*layer))
            before = width + in_channels
        self.layers = nn.ModuleList(layers)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[B, in_channels, points] to [B, 1, points]."""
        x = features
        for i, layer in enumerate(self.layers):
            x = layer(x if i == 0 else torch.cat([x, features], dim=1))
        return x

"""Convolution, residual block and residual stack, shared by the 2D and 3D parts."""

from __future__ import annotations

from typing import Any

import torch
from monai.networks.blocks import Convolution
from torch import nn

from bundle.networks.batch_norm import BATCH_NORM

__all__ = ["ACTIVATION", "ResidualBlock", "ResidualStack", "convolution"]

# In place: it follows normalisations and sums, whose results no gradient needs, and spares a copy of every feature.
ACTIVATION: tuple[str, dict[str, Any]] = ("leakyrelu", {"negative_slope": 0.01, "inplace": True})


def convolution(dims: int, in_channels: int, out_channels: int, kernel_size: int = 3, strides: int = 1) -> Convolution:
    """Convolution, batch normalisation and LeakyReLU; strided ones have no padding."""
    return Convolution(
        dims,
        in_channels,
        out_channels,
        strides=strides,
        kernel_size=kernel_size,
        padding=0 if strides > 1 else None,
        adn_ordering="NA",
        norm=BATCH_NORM,
        act=ACTIVATION,
    )


class ResidualBlock(nn.Module):
    """LeakyReLU(BN(conv3x3(x)) + x).

    Args:
        dims: 2 or 3.
        channels: channels in and out.
    """

    def __init__(self, dims: int, channels: int) -> None:
        super().__init__()
        self.conv = Convolution(dims, channels, channels, kernel_size=3, adn_ordering="N", norm=BATCH_NORM)
        self.act = nn.LeakyReLU(**ACTIVATION[1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, ...] to the same shape."""
        return self.act(self.conv(x).add_(x))


class ResidualStack(nn.Module):
    """Residual blocks, after a convolution that changes the number of channels where that is needed.

    Args:
        dims: 2 or 3.
        in_channels: channels in.
        out_channels: channels out.
        blocks: number of residual blocks.
    """

    def __init__(self, dims: int, in_channels: int, out_channels: int, blocks: int) -> None:
        super().__init__()
        same = in_channels == out_channels
        self.pre_conv = nn.Identity() if same else convolution(dims, in_channels, out_channels)
        self.layers = nn.Sequential(*[ResidualBlock(dims, out_channels) for _ in range(blocks)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, in_channels, ...] to [B, out_channels, ...]."""
        return self.layers(self.pre_conv(x))

"""Modules of the straightforward network; named as in the package's network, whose weights they take."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from monai.networks.blocks import Convolution
from monai.networks.layers.vector_quantizer import EMAQuantizer
from torch import nn

__all__ = ["PlainEncoder", "PlainPointMLP", "PlainQuantiser", "PlainStack"]

_ACTIVATION = ("leakyrelu", {"negative_slope": 0.01})


def convolution(dims: int, before: int, after: int, stride: int = 1) -> Convolution:
    """Convolution, batch normalisation and LeakyReLU; strided ones have no padding."""
    size = {"kernel_size": 3} if stride == 1 else {"kernel_size": stride, "strides": stride, "padding": 0}
    return Convolution(dims, before, after, adn_ordering="NA", norm="batch", act=_ACTIVATION, **size)


class PlainResidual(nn.Module):
    """LeakyReLU(BN(conv3(x)) + x)."""

    def __init__(self, dims: int, channels: int) -> None:
        super().__init__()
        self.conv = Convolution(dims, channels, channels, kernel_size=3, adn_ordering="N", norm="batch")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, ...] to the same shape."""
        return F.leaky_relu(self.conv(x) + x, 0.01)


class PlainStack(nn.Module):
    """Residual blocks, after a convolution where the channels change."""

    def __init__(self, dims: int, before: int, after: int, blocks: int) -> None:
        super().__init__()
        self.pre_conv = nn.Identity() if before == after else convolution(dims, before, after)
        self.layers = nn.Sequential(*[PlainResidual(dims, after) for _ in range(blocks)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, before, ...] to [B, after, ...]."""
        return self.layers(self.pre_conv(x))


class PlainEncoder(nn.Module):
    """Projections [N, 1, V, U] to maps [N, C_k, V / 2^k, U / 2^k]."""

    def __init__(self, channels: Sequence[int], blocks: int) -> None:
        super().__init__()
        self.stem = convolution(2, 1, channels[0])
        self.levels = nn.ModuleList(
            nn.Sequential(convolution(2, before, before, stride=2), PlainStack(2, before, after, blocks))
            for before, after in pairwise(channels)
        )

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """One map per scale, full resolution first."""
        maps = [self.stem(x)]
        for level in self.levels:
            maps.append(level(maps[-1]))
        return maps


class PlainQuantiser(nn.Module):
    """post o VQ o pre: all distances, and one-hot statistics, as MONAI computes them."""

    def __init__(self, channels: int, codes: int) -> None:
        super().__init__()
        self.pre = nn.Conv3d(channels, channels, kernel_size=1)
        self.codebook = EMAQuantizer(3, codes, channels, commitment_cost=1.0, decay=0.99, epsilon=1e-5)
        self.post = nn.Conv3d(channels, channels, kernel_size=1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Quantised features, those before, their codes, all [B, C, r, r, r], and indices [B, r, r, r]."""
        latent = self.pre(x)
        codes, _, indices = self.codebook(latent)
        return self.post(codes), latent, codes, indices


class PlainPointMLP(nn.Module):
    """Features [B, C, points] to values [B, 1, points]; every layer sees the features again."""

    def __init__(self, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        layers, before = [], channels
        for width in widths:
            layer = nn.Sequential(nn.Conv1d(before, width, 1), nn.BatchNorm1d(width), nn.LeakyReLU(0.01))
            layers.append(layer)
            before = width + channels
        layers.append(nn.Sequential(nn.Conv1d(before, 1, 1)))
        self.layers = nn.ModuleList(layers)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[B, channels, points] to [B, 1, points]."""
        x = features
        for i, layer in enumerate(self.layers):
            x = layer(x if i == 0 else torch.cat([x, features], dim=1))
        return x

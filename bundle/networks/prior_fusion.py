"""Joining the decoder's low-resolution features with a classical prior of finer resolution."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Optional

import torch
import torch.nn.functional as F
from monai.networks.blocks import Convolution
from torch import nn
from torch.autograd.profiler import record_function

from bundle.networks.batch_norm import BATCH_NORM
from bundle.networks.blocks import ACTIVATION, ResidualStack, convolution

__all__ = ["NoFusion", "PriorFusion"]


class NoFusion(nn.Module):
    """Stands for the fusion in networks without a prior."""

    def encode(self, prior: Optional[torch.Tensor]) -> list[torch.Tensor]:
        """Gives no features."""
        features: list[torch.Tensor] = []
        return features

    def forward(self, volume: torch.Tensor, features: list[torch.Tensor]) -> torch.Tensor:
        """Gives the volume."""
        return volume


class PriorFusion(nn.Module):
    """The two arms of a U-Net over the prior, at whose bottom the 3D decoder stands.

    The contracting arm brings the prior to the decoder's resolution, the expanding one the decoder's features to a
    finer one. The prior itself is the last channel of what comes out, so that the point decoder sees it as it is.

    Args:
        width: channels of the decoder.
        channels: channels at each resolution, the finest first, the decoder's last; each is half the one before.
        blocks: residual blocks at each.
        pool: the prior's voxels per voxel of the finest resolution, along each axis.
    """

    def __init__(self, width: int, channels: Sequence[int] = (16, 32, 48), blocks: int = 1, pool: int = 1) -> None:
        super().__init__()
        finest = channels[0] if len(channels) > 1 else width  # the decoder's own where there is no finer resolution
        self.low_channels, self.out_channels = channels[-1], finest + 1
        self.scale, self.pool = 2 ** (len(channels) - 1), pool
        self.stem = ResidualStack(3, 1, channels[0], blocks)
        self.down = nn.ModuleList(
            nn.Sequential(
                convolution(3, before, before, kernel_size=2, strides=2), ResidualStack(3, before, after, blocks)
            )
            for before, after in pairwise(channels)
        )
        incoming = [width, *channels[-2:0:-1]]
        self.up = nn.ModuleList(
            Convolution(
                3,
                before,
                after,
                strides=2,
                kernel_size=2,
                padding=0,
                output_padding=0,
                is_transposed=True,
                adn_ordering="NA",
                norm=BATCH_NORM,
                act=ACTIVATION,
            )
            for before, after in zip(incoming, channels[-2::-1])
        )
        self.join = nn.ModuleList(ResidualStack(3, 2 * c, c, blocks) for c in channels[-2::-1])

    def encode(self, prior: Optional[torch.Tensor]) -> list[torch.Tensor]:
        """[B, C_k, ...] per resolution of the prior [B, 1, R, R, R]: itself, pooled, then finest to coarsest."""
        if prior is None:
            raise ValueError("this network has a classical prior: give it to embed.")
        with record_function("prior"):
            pooled = F.avg_pool3d(prior, self.pool) if self.pool > 1 else prior
            # Channels last in memory; with one channel only the strides differ.
            x = self.stem(pooled.squeeze(1).unsqueeze(-1).permute(0, 4, 1, 2, 3))
            features = [pooled, x]
            for level in self.down:
                x = level(x)
                features.append(x)
        return features

    def forward(self, volume: torch.Tensor, features: list[torch.Tensor]) -> torch.Tensor:
        """Brings the decoder's features to the finest resolution.

        Args:
            volume: [B, width, r, r, r].
            features: from :meth:`encode`.

        Returns:
            [B, out_channels, r scale, r scale, r scale].
        """
        with record_function("prior"):
            finer = len(features) - 2
            for up, join in zip(self.up, self.join):
                volume = join(torch.cat([up(volume), features[finer]], dim=1))
                finer -= 1
            return torch.cat([volume, features[0].to(volume.dtype)], dim=1)

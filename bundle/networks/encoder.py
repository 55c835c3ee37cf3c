"""2D encoder: one projection to feature maps at full, 1/2, 1/4, ... resolution."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from bundle.networks.blocks import ResidualStack, convolution

__all__ = ["ProjectionEncoder"]


class ProjectionEncoder(nn.Module):
    """Shared encoder of all views (DeepSparse, section 3.2).

    A stem at full resolution, then levels of a 2 x 2 convolution with stride 2 and a residual stack that changes
    the channels.

    Args:
        channels: channels of each scale, full resolution first.
        blocks: residual blocks per level.
    """

    def __init__(self, channels: Sequence[int] = (16, 32, 64, 128), blocks: int = 1) -> None:
        super().__init__()
        self.stem = convolution(2, 1, channels[0])
        self.levels = nn.ModuleList(
            nn.Sequential(
                convolution(2, before, before, kernel_size=2, strides=2),
                ResidualStack(2, before, after, blocks),
            )
            for before, after in pairwise(channels)
        )

    def forward(self, projections: torch.Tensor) -> list[torch.Tensor]:
        """Encodes projections.

        Args:
            projections: [N, 1, V, U] normalised projections.

        Returns:
            One [N, C_k, V / 2^k, U / 2^k] feature map per scale, full resolution first, channels last in memory.
        """
        # With one channel both orders are the same, but for the strides; convolutions keep the one that they find.
        x = self.stem(projections.squeeze(1).unsqueeze(-1).permute(0, 3, 1, 2))
        features = [x]
        for level in self.levels:
            x = level(x)
            features.append(x)
        return features

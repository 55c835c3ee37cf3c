"""Point decoder: features of a point to its attenuation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from bundle.networks.blocks import ACTIVATION
from bundle.networks.folded_decoder import FoldedDecoder

__all__ = ["PointDecoder"]

_LITTLE = 0.1  # of usual weights; with none the other layers would not learn at first


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
                layer += [nn.BatchNorm1d(width), nn.LeakyReLU(**ACTIVATION[1])]
            layers.append(nn.Sequential(*layer))
            before = width + in_channels
        self.layers: Any = nn.ModuleList(layers)  # PyTorch types none of their parts

    @torch.no_grad()
    def start_near_zero(self) -> None:
        """Lets the untrained decoder give little, for what is added to something else."""
        last = self.layers[-1][0]
        last.weight.mul_(_LITTLE)
        last.bias.zero_()

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[B, in_channels, points] to [B, 1, points]; points last in memory ([B, points, C]) saves copies."""
        # What all layers make of the input is one product, and every layer adds to its part what it makes of the layer
        # before: the same as if that and the input were concatenated.
        hidden: list[torch.Tensor] = []
        inputs: list[torch.Tensor] = []
        biases: list[torch.Tensor] = []
        before, channels = 0, features.shape[1]
        for layer in self.layers:
            convolution = layer[0]
            weight, bias = convolution.weight.squeeze(2), convolution.bias
            assert bias is not None
            hidden.append(weight[:, :before])
            inputs.append(weight[:, before:])
            biases.append(bias)
            before = weight.shape[0]
        rows = features.transpose(1, 2).reshape(-1, channels)
        sums = F.linear(rows, torch.cat(inputs), torch.cat(biases)).split([len(bias) for bias in biases], dim=1)
        x = rows
        for i, layer in enumerate(self.layers):
            x = sums[i] + F.linear(x, hidden[i]) if i > 0 else sums[i]
            for j, part in enumerate(layer):
                if j > 0:
                    x = part(x)
        return x.reshape(features.shape[0], -1, 1).transpose(1, 2)

    def folded(self, in_channels_2d: int) -> FoldedDecoder:
        """The decoder in eval mode as plain matrices.

        Args:
            in_channels_2d: how many of the input features, the first, are 2D ones.
        """
        inputs: list[torch.Tensor] = []
        biases: list[torch.Tensor] = []
        hidden: list[torch.Tensor] = []
        slopes: list[float] = []
        before = 0
        for layer in self.layers:
            weight, bias, slope = torch.empty(0), torch.empty(0), 1.0
            for part in layer:
                if hasattr(part, "running_var"):
                    scale = part.weight / torch.sqrt(part.running_var + part.eps)
                    weight = weight * scale.unsqueeze(1)
                    bias = (bias - part.running_mean) * scale + part.bias
                elif hasattr(part, "negative_slope"):
                    slope = float(part.negative_slope)
                else:
                    offset = part.bias
                    assert offset is not None
                    weight, bias = part.weight.squeeze(2), offset
            if before > 0:
                hidden.append(weight[:, :before].contiguous())
            inputs.append(weight[:, before:])
            biases.append(bias)
            slopes.append(slope)
            before = weight.shape[0]
        stacked = torch.cat(inputs)
        maps, volume = stacked[:, :in_channels_2d].contiguous(), stacked[:, in_channels_2d:].contiguous()
        return FoldedDecoder(maps, volume, torch.cat(biases), hidden, slopes)

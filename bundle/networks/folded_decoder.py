"""The point decoder of a network in eval mode as plain matrices, sorted by what multiplies them."""

# No ``from __future__ import annotations``: TorchScript evaluates the annotations of this NamedTuple.
from typing import NamedTuple

import torch

__all__ = ["FoldedDecoder", "decode_hidden"]


class FoldedDecoder(NamedTuple):
    """Every layer's product with the input features side by side, and the products with hidden layers apart.

    All layers see the input features, so their products with them are one product with stacked rows. Batch
    normalisation is folded into weights and biases. S is the sum of all layers' widths.

    Args:
        maps: [S, C_2d] weights of the 2D features.
        volume: [S, C_3d] weights of the 3D features.
        bias: [S].
        hidden: [width, width before] of every layer after the first, weights of the hidden layer before it.
        slopes: negative slope of the activation after each layer; 1 is none.
    """

    maps: torch.Tensor
    volume: torch.Tensor
    bias: torch.Tensor
    hidden: list[torch.Tensor]
    slopes: list[float]


def decode_hidden(sums: torch.Tensor, hidden: list[torch.Tensor], slopes: list[float]) -> torch.Tensor:
    """Goes through the layers, from what the input features contribute to each of them.

    Args:
        sums: [S, points] products of the input features with every layer's weights, biases included; overwritten.
        hidden: see FoldedDecoder.
        slopes: see FoldedDecoder.

    Returns:
        [1, points].
    """
    first = sums.shape[0]
    for weight in hidden:
        first -= weight.shape[0]
    x = sums[:first]
    for i, slope in enumerate(slopes):
        if i > 0:
            last = first + hidden[i - 1].shape[0]
            x = torch.addmm(sums[first:last], hidden[i - 1], x)
            first = last
        if slope != 1.0:
            x = torch.nn.functional.leaky_relu(x, slope)
    return x

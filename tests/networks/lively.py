"""Networks with batch statistics and outputs that are not close to trivial ones."""

from __future__ import annotations

import torch
from torch import nn

from bundle.networks import DiCE

__all__ = ["lively"]


def lively(network: DiCE) -> DiCE:
    """Draws normalisations and the last layer anew, so that outputs vary by about 0.3 around one half; eval mode."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.02, 0.2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    network.eval()
    geometry = network.circular_matrices(torch.tensor([[0.1, 1.2, 2.0]]))
    shape = [network.largest_stride * 8, network.largest_stride * 4]
    with torch.no_grad():
        projections = torch.rand(1, 3, *shape)
        features = network.encode(projections)
        volume = network.embed(features, geometry, None, network.prior(projections, geometry, None)).volume
        last = network.point_decoder.layers[-1]
        affine, slope = last[0], 1.0
        if len(last) > 1:
            affine, slope, last[2].negative_slope = last[1], last[2].negative_slope, 1.0
        out = network.decode(features, volume, geometry, torch.rand(1, 500, 3), None)
        factor = 0.3 / out.std()
        affine.weight *= factor
        affine.bias += 0.5 - affine.bias - factor * (out.mean() - affine.bias)
        if len(last) > 1:
            last[2].negative_slope = slope
    return network

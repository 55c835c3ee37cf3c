from __future__ import annotations

import copy

import pytest
import torch

from bundle.networks.point_decoder import PointDecoder


def concatenated(decoder: PointDecoder, features: torch.Tensor) -> torch.Tensor:
    """Equation 7 as it is written: every layer after the first reads its input beside the features."""
    x = features
    for i, layer in enumerate(decoder.layers):
        x = layer(x if i == 0 else torch.cat([x, features], dim=1))
    return x


@pytest.mark.parametrize("head", ["linear", "norm_act"])
def test_sums_of_products_are_products_of_concatenations(head):
    decoder = PointDecoder(7, (9, 5, 4), head).double().train()
    plain = copy.deepcopy(decoder)
    features = torch.randn(2, 7, 30, dtype=torch.float64, requires_grad=True)
    same = features.detach().clone().requires_grad_()
    found, expected = decoder(features), concatenated(plain, same)
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(expected)
    found.backward(weights)
    expected.backward(weights)
    torch.testing.assert_close(features.grad, same.grad)
    for (name, a), b in zip(decoder.named_parameters(), plain.parameters()):
        torch.testing.assert_close(a.grad, b.grad, msg=name)
    for (name, a), b in zip(decoder.state_dict().items(), plain.state_dict().values()):
        torch.testing.assert_close(a, b, msg=name)
    torch.testing.assert_close(decoder.eval()(features), concatenated(plain.eval(), features))

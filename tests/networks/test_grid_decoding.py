from __future__ import annotations

import pytest
import torch

from bundle.networks import DiCE
from bundle.networks.feature_sampling import sample_volume
from bundle.networks.folded_decoder import decode_hidden
from bundle.networks.grid_decoding import axis_weights
from bundle.networks.point_decoder import PointDecoder
from tests.networks.lively import lively
from tests.networks.test_dice import TINY


@pytest.mark.parametrize("corner", [False, True])
@pytest.mark.parametrize("size", [1, 2, 7])
def test_axis_weights_are_the_volume_sampling_along_an_axis(corner, size):
    """Inside, at the edges, between the outer voxels' centres and edges, and beyond."""
    places = torch.cat([torch.linspace(-0.3, 1.3, 41), torch.tensor([0.0, 0.5 / size, 1.0])])
    line = torch.rand(1, 3, size, 1, 1)
    points = torch.stack([places, torch.full_like(places, 0.5), torch.full_like(places, 0.5)], dim=-1)
    padded = line.expand(-1, -1, -1, 3, 3)
    expected = sample_volume(padded, points[None], corner)[0]
    torch.testing.assert_close(line[0, :, :, 0, 0] @ axis_weights(places, size, corner).t(), expected)


@pytest.mark.parametrize("head", ["linear", "norm_act"])
def test_folded_decoder_is_the_decoder(head):
    decoder = PointDecoder(11, (8, 5, 3), head)
    for module in decoder.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.3, 2)
            torch.nn.init.normal_(module.weight)
            torch.nn.init.normal_(module.bias)
    features = torch.randn(1, 11, 40)
    folded = decoder.eval().folded(7)
    with torch.no_grad():
        inputs = torch.cat([folded.maps, folded.volume], dim=1)
        sums = inputs @ features[0] + folded.bias[:, None]
        out = decode_hidden(sums, folded.hidden, folded.slopes)
        torch.testing.assert_close(out, decoder(features)[0], atol=1e-5, rtol=1e-4)


def test_one_tensor_call_in_eval_mode_is_the_point_wise_function(scan):
    network = lively(DiCE(scan, **TINY))
    x, angles = torch.rand(2, 4, 24, 32), torch.tensor([0.2, 0.9, 1.7, 2.6])
    shape, total = network.volume_shape, 20 * 18 * 16
    with torch.no_grad():
        matrices = network.circular_matrices(angles.expand(2, -1))
        features = network.encode(x)
        volume = network.embed(features, matrices, None).volume
        points = network.output_points(shape, 0, total, volume).expand(2, -1, -1)
        expected = network.decode(features, volume, matrices, points, None).reshape(2, 1, *shape)
        found = network(x, angles)
    assert float(expected.std()) > 0.1
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_one_tensor_call_in_training_mode_normalises_by_the_batch(scan):
    """Folded weights would hide that; batch statistics are those of all points of a chunk."""
    network = lively(DiCE(scan, **TINY))
    x = torch.rand(1, 4, 24, 32)
    with torch.no_grad():
        assert float((network(x) - network.train()(x)).abs().max()) > 0.05


def test_gradients_pass_through_the_grid(scan):
    network = lively(DiCE(scan, **TINY))
    network(torch.rand(1, 3, 24, 32)).square().mean().backward()
    for name, part in (("encoder", network.encoder), ("decoder", network.point_decoder)):
        assert all(p.grad is not None and bool(p.grad.any()) for p in part.parameters()), name

from __future__ import annotations

import pytest
import torch

from bundle.networks.blocks import ResidualBlock, ResidualStack, convolution
from bundle.networks.encoder import ProjectionEncoder
from bundle.networks.point_decoder import PointDecoder


@pytest.mark.parametrize("dims", [2, 3])
def test_residual_block_adds_before_the_activation(dims):
    block = ResidualBlock(dims, 3).eval()
    x = torch.randn(2, 3, *[5] * dims)
    expected = torch.nn.functional.leaky_relu(block.conv(x) + x, 0.01)
    torch.testing.assert_close(block(x), expected)


def test_stack_changes_channels_only_where_needed():
    assert isinstance(ResidualStack(3, 8, 8, 2).pre_conv, torch.nn.Identity)
    assert ResidualStack(3, 8, 6, 2)(torch.rand(1, 8, 4, 5, 6)).shape == (1, 6, 4, 5, 6)


def test_strided_convolution_halves_exactly():
    assert convolution(2, 3, 4, kernel_size=2, strides=2)(torch.rand(1, 3, 10, 14)).shape == (1, 4, 5, 7)


@pytest.mark.parametrize("channels", [(4, 8), (4, 8, 16, 32), (3, 5, 7)])
def test_encoder_scales(channels):
    encoder = ProjectionEncoder(channels, blocks=2)
    features = encoder(torch.rand(2, 1, 16, 24))
    assert [tuple(f.shape) for f in features] == [(2, c, 16 >> k, 24 >> k) for k, c in enumerate(channels)]
    assert len(torch.jit.script(encoder)(torch.rand(2, 1, 16, 24))) == len(channels)


@pytest.mark.parametrize("head", ["linear", "norm_act"])
def test_point_decoder(head):
    decoder = PointDecoder(20, (12, 8), head).eval()
    x = torch.randn(2, 20, 50)
    assert decoder(x).shape == (2, 1, 50)
    assert [layer[0].in_channels for layer in decoder.layers] == [20, 12 + 20, 8 + 20]
    torch.testing.assert_close(torch.jit.script(decoder)(x), decoder(x))
    assert (len(decoder.layers[-1]) == 1) == (head == "linear")


def test_unknown_head_is_named():
    with pytest.raises(ValueError, match="head"):
        PointDecoder(20, (12,), "sigmoid")

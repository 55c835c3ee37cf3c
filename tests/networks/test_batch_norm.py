"""Channels-last batch normalisation against PyTorch's own in double precision."""

from __future__ import annotations

import pytest
import torch
from monai.networks.layers import Norm
from torch import nn

from bundle.networks import batch_norm_sums
from bundle.networks.batch_norm import BATCH_NORM
from bundle.networks.blocks import ResidualBlock

LAST = {2: torch.channels_last, 3: torch.channels_last_3d}
SHAPES = {2: (3, 5, 41, 29), 3: (2, 7, 11, 9, 10)}


@pytest.fixture(params=["numba", "torch"])
def engine(request, monkeypatch):
    if request.param == "numba":
        pytest.importorskip("numba", reason="needs numba")
    else:
        monkeypatch.setattr(batch_norm_sums, "_compiled", lambda rows: False)


def pair(dims: int, channels: int) -> tuple[nn.Module, nn.Module]:
    """Ours, and PyTorch's in double precision with the same parameters."""
    ours = Norm[BATCH_NORM, dims](channels)
    nn.init.uniform_(ours.weight, -1.0, 2.0)
    nn.init.normal_(ours.bias)
    theirs = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[dims](channels).double()
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize("dims", [2, 3])
def test_training_is_that_of_pytorch(engine, dims):
    ours, theirs = pair(dims, SHAPES[dims][1])
    x = (torch.randn(SHAPES[dims]) * 0.5 + 30).contiguous(memory_format=LAST[dims]).requires_grad_()
    exact = x.detach().double().contiguous().requires_grad_()
    gradient = torch.randn(SHAPES[dims])
    for _ in range(2):
        found, expected = ours(x), theirs(exact)
    assert found.is_contiguous(memory_format=LAST[dims])
    torch.testing.assert_close(found.double(), expected, atol=2e-5, rtol=0)
    found.backward(gradient)
    expected.backward(gradient.double())
    torch.testing.assert_close(x.grad.double(), exact.grad, atol=1e-5, rtol=1e-4)
    for name in ("weight", "bias"):
        torch.testing.assert_close(getattr(ours, name).grad.double(), getattr(theirs, name).grad, atol=1e-3, rtol=1e-5)
    for (name, a), b in zip(ours.state_dict().items(), theirs.state_dict().values()):
        torch.testing.assert_close(a.to(b.dtype), b, atol=1e-6, rtol=1e-5, msg=name)


def test_many_values_are_added_up_exactly(engine):
    """As many as a view's full resolution has: plain sums in single precision are wrong in the fourth digit here."""
    x = (torch.randn(4, 3, 400, 300) * 0.5 + 1).contiguous(memory_format=torch.channels_last)
    mean, variance = batch_norm_sums.moments(x.movedim(1, -1).reshape(-1, 3))
    exact = torch.var_mean(x.double(), (0, 2, 3), correction=0)
    torch.testing.assert_close(variance.double(), exact[0], atol=0, rtol=1e-6)
    torch.testing.assert_close(mean.double(), exact[1], atol=0, rtol=1e-6)


@pytest.mark.parametrize("dims", [2, 3])
def test_gradients_are_those_of_finite_differences(dims):
    ours = pair(dims, 2)[0].double()
    shape = (2, 2, 3, 2, 2)[: dims + 2]
    x = torch.randn(shape, dtype=torch.float64).contiguous(memory_format=LAST[dims]).requires_grad_()
    assert torch.autograd.gradcheck(ours, x)


def test_evaluation_and_contiguous_features_are_pytorchs_own():
    ours = pair(2, 5)[0]
    theirs = nn.BatchNorm2d(5)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(SHAPES[2])
    assert torch.equal(ours(x), theirs(x))
    last = x.contiguous(memory_format=torch.channels_last)
    assert torch.equal(ours.eval()(last), theirs.eval()(last))
    assert ours.num_batches_tracked == 1


def test_blocks_work_in_place_on_what_it_gives():
    """A view would make autograd copy every feature; see torch.autograd's CopySlices."""
    ours = pair(3, 4)[0]
    x = torch.randn(1, 4, 3, 4, 5).contiguous(memory_format=torch.channels_last_3d).requires_grad_()
    assert not ours(x)._is_view()
    block = ResidualBlock(3, 4)
    assert block(x).grad_fn.name() == "LeakyReluBackward1"  # 1: of the operation in place

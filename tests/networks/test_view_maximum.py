"""The fused view maximum, by every backend, against sampling every view and stacking."""

from __future__ import annotations

import sys

import pytest
import torch

from bundle.errors import InputError
from bundle.networks.feature_sampling import max_over_views, sample_maps
from bundle.networks.view_maximum import BACKENDS, view_maximum
from bundle.networks.view_sampling import largest_samples
from tests.triton_compile import assert_kernels_compile

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
VIEWS = 4  # of five that there are maps of


def device_for(name: str) -> torch.device:
    """Where the backend's tests run; skips if it cannot."""
    device = torch.device(DEVICE if name == "triton" else "cpu")
    reason = BACKENDS[name].unavailable(device)
    if reason is not None:
        pytest.skip(reason)
    return device


def case(dtype=torch.float32, points=37, channels=6):
    """Maps [2, 5, C, 7, 9], coordinates of the first views, a third of them outside, and a mask."""
    maps = torch.randn(2, VIEWS + 1, channels, 7, 9, dtype=dtype)
    coordinates = torch.rand(2, VIEWS, points, 2, dtype=dtype) * 2.6 - 1.3
    edges = torch.tensor([[-1.0, 1.0], [1.0, -1.0], [1.0, 0.3], [-0.2, -1.0], [1 + 1 / 7, 0.1], [0.1, -1 - 1 / 9]])
    coordinates[:, :, : len(edges)] = edges.to(dtype)
    used = torch.tensor([[True, True, True, True], [True, False, True, False]])
    return maps, coordinates, used


def stacked(maps, coordinates, used, corner_aligned):
    samples = sample_maps(maps[:, : coordinates.shape[1]], coordinates, corner_aligned)
    return max_over_views(samples, used).transpose(1, 2)


@pytest.mark.parametrize("corner_aligned", [False, True])
@pytest.mark.parametrize("channels", [6, 70])
@pytest.mark.parametrize("name", BACKENDS)
def test_values_and_gradients_are_those_of_stacked_samples(name, channels, corner_aligned):
    device = device_for(name)
    maps, coordinates, used = case(channels=channels)
    found_maps = maps.to(device).requires_grad_()
    found = view_maximum(found_maps, coordinates.to(device), used.to(device), corner_aligned, name)
    exact_maps = maps.detach().double().requires_grad_()
    exact = stacked(exact_maps, coordinates.double(), used, corner_aligned)
    assert (exact == 0).any()  # somewhere all views are negative or outside
    torch.testing.assert_close(found.cpu().double(), exact, atol=1e-5, rtol=0)
    weights = torch.randn(exact.shape)
    found.backward(weights.to(device))
    exact.backward(weights.double())
    torch.testing.assert_close(found_maps.grad.cpu().double(), exact_maps.grad, atol=1e-5, rtol=0)
    assert not found_maps.grad[:, VIEWS:].any()
    assert not found_maps.grad[1, 1].any()


@pytest.mark.parametrize("corner_aligned", [False, True])
def test_gradients_are_those_of_finite_differences(corner_aligned):
    maps, coordinates, used = case(torch.float64, points=11, channels=2)
    assert torch.autograd.gradcheck(
        lambda m: view_maximum(m, coordinates, used, corner_aligned), maps.requires_grad_(), eps=1e-7, atol=1e-6
    )


@pytest.mark.parametrize("name", BACKENDS)
def test_the_first_of_equal_views_gets_the_gradient(name):
    device = device_for(name)
    maps = torch.ones(1, 3, 2, 4, 5, device=device).requires_grad_()
    coordinates = torch.zeros(1, 3, 1, 2, device=device)
    used = torch.tensor([[False, True, True]], device=device)
    view_maximum(maps, coordinates, used, False, name).sum().backward()
    assert maps.grad.sum(dim=(2, 3, 4)).tolist() == [[0, 2, 0]]


@pytest.mark.parametrize("name", BACKENDS)
def test_what_is_not_a_number_stays(name):
    """A network that diverged must not hide behind the maximum."""
    device = device_for(name)
    maps = torch.ones(1, 3, 2, 4, 5, device=device)
    maps[0, 1, 1] = torch.nan
    found = view_maximum(maps, torch.zeros(1, 3, 1, 2, device=device), torch.ones(1, 3).bool().to(device), False, name)
    assert found.isnan().tolist() == [[[False, True]]]


@pytest.mark.parametrize("name", BACKENDS)
def test_no_view_at_all_is_minus_infinity_without_a_gradient(name):
    device = device_for(name)
    maps = torch.ones(2, 1, 2, 4, 5, device=device).requires_grad_()
    used = torch.tensor([[True], [False]], device=device)
    found = view_maximum(maps, torch.zeros(2, 1, 1, 2, device=device), used, False, name)
    assert found.tolist() == [[[1, 1]], [[-torch.inf, -torch.inf]]]
    found.sum().backward()
    assert maps.grad.sum(dim=(1, 2, 3, 4)).tolist() == [2, 0]


@pytest.mark.parametrize("name", BACKENDS)
def test_many_views(name):
    """More than a byte counts."""
    device = device_for(name)
    maps = torch.zeros(1, 300, 1, 2, 3, device=device)
    maps[0, 280] = 1.0
    maps.requires_grad_()
    coordinates, used = torch.zeros(1, 300, 1, 2, device=device), torch.ones(1, 300, device=device).bool()
    view_maximum(maps, coordinates, used, False, name).sum().backward()
    assert maps.grad.sum(dim=(2, 3, 4)).nonzero().tolist() == [[0, 280]]


@pytest.mark.parametrize("name", BACKENDS)
def test_maps_in_reduced_precision(name):
    """Sampled in single precision, with a gradient in the maps' own."""
    device = device_for(name)
    maps, coordinates, used = case()
    reduced = maps.bfloat16().to(device).requires_grad_()
    found = view_maximum(reduced, coordinates.to(device), used.to(device), False, name)
    torch.testing.assert_close(
        found.cpu(), stacked(maps.bfloat16().float(), coordinates, used, False), atol=1e-5, rtol=0
    )
    found.sum().backward()
    assert reduced.grad.dtype == torch.bfloat16


def test_numba_gives_the_same_every_time_in_any_number_of_threads():
    device_for("numba")
    maps, coordinates, used = case(points=20_000, channels=16)
    maps = maps.requires_grad_()
    results, threads = [], torch.get_num_threads()
    try:
        for count in (threads, threads, 1):
            torch.set_num_threads(count)
            found = view_maximum(maps, coordinates, used, False, "numba")
            results.append((found, *torch.autograd.grad(found.square().sum(), maps)))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other))


def test_the_operation_is_well_formed():
    """What torch.compile relies on: shapes, strides, aliasing, and gradients that trace."""
    device_for("numba")
    maps, coordinates, used = case()
    torch.library.opcheck(
        torch.ops.deepsparse.view_maximum.default, (maps.requires_grad_(), coordinates, used, False, "numba")
    )


def test_coordinates_that_are_trained_get_a_gradient():
    maps, coordinates, used = case(torch.float64)
    coordinates.requires_grad_()
    found = largest_samples(maps, coordinates, used, False).transpose(1, 2)
    gradient = torch.autograd.grad(found.sum(), coordinates)[0]
    expected = torch.autograd.grad(stacked(maps, coordinates, used, False).sum(), coordinates)[0]
    assert expected.any()
    torch.testing.assert_close(gradient, expected)


def test_exported_programs_know_no_operation_of_ours():
    class Module(torch.nn.Module):
        def forward(self, maps, coordinates):
            return largest_samples(maps, coordinates, None, False)

    maps, coordinates, _ = case()
    program = torch.export.export(Module(), (maps, coordinates))
    names = [str(node.target) for node in program.graph.nodes]
    assert [name for name in names if "grid_sampler" in name]
    assert not [name for name in names if "deepsparse" in name]


def test_without_numba_pytorch_computes(monkeypatch):
    maps, coordinates, used = case()
    expected = view_maximum(maps, coordinates, used, False)
    monkeypatch.setitem(sys.modules, "numba", None)
    torch.testing.assert_close(view_maximum(maps, coordinates, used, False), expected, atol=1e-5, rtol=0)
    with pytest.raises(InputError, match="pip install numba"):
        view_maximum(maps, coordinates, used, False, "numba")


def test_triton_kernels_compile_for_gpus(child_env):
    kinds = dict.fromkeys(("gradient", "coordinates", "out"), "*fp32") | {
        "maps": "*bf16",
        "used": "*u8",
        "winner": "*u8",
    }
    constants = {"CORNER_ALIGNED": False, "POINTS": 16, "CHANNELS": 64}
    kernels = ["view_maximum", "scatter"]
    assert_kernels_compile("bundle.networks.view_maximum_triton_kernels", kernels, kinds, constants, child_env)

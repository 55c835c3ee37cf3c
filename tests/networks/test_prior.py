"""A network that starts from a classical reconstruction."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bundle.classical import TotalVariation
from bundle.errors import InputError
from bundle.inferer import VolumeInferer
from bundle.networks import DiCE, PointForward
from bundle.phantoms import asymmetric_phantom, voxelise
from bundle.physics.attenuation import normalised_to_unit_integral
from bundle.presets import load_preset
from bundle.simulation import project_own_voxels
from tests.networks.lively import lively
from tests.networks.test_dice import TINY

PRIOR = {"size": 24, "channels": (4, 6), "options": {"iterations": 20}}
ANGLES = np.linspace(0, np.pi, 7)[:-1]


@pytest.fixture
def scan():
    return load_preset("luna16", (48, 48), (24, 24, 24))


@pytest.fixture
def network(scan) -> DiCE:
    torch.manual_seed(0)
    return DiCE(scan, **TINY, prior=PRIOR)


@pytest.fixture
def phantom(scan) -> torch.Tensor:
    geometry = scan.geometry(ANGLES)
    return torch.from_numpy(voxelise(asymmetric_phantom(geometry.volume_size_mm), geometry, 2)).float()[None, None]


def projections_of(phantom, scan, angles):
    geometry = scan.geometry(angles)
    projections = project_own_voxels(phantom, geometry, scan.hu_window)
    return projections, torch.from_numpy(geometry.unit_matrices()).float()[None]


def test_the_prior_is_the_methods_volume(scan, network, phantom):
    """As if the method had been given the averaged pixels and the scan itself."""
    projections, matrices = projections_of(phantom, scan, ANGLES)
    coarse = scan.resized(detector_shape=(24, 24)).geometry(ANGLES)
    integrals = F.avg_pool2d(normalised_to_unit_integral(projections), 2)
    expected = TotalVariation(iterations=20)(integrals, coarse).clamp(0, 1)
    prior = network.prior(projections, matrices, None)
    torch.testing.assert_close(prior, expected, atol=1e-3, rtol=0)
    error = (prior - phantom).square().mean()
    assert error < 0.2 * phantom.var()
    assert all((prior.flip(axis) - phantom).square().mean() > 2 * error for axis in (2, 3, 4))


def test_a_prior_of_one_resolution(scan, phantom):
    """It joins the decoder there, and needs no finer one; its channels are its own."""
    network = DiCE(scan, **TINY, prior={**PRIOR, "size": TINY["low_resolution"], "channels": [7]}).eval()
    projections, matrices = projections_of(phantom, scan, ANGLES)
    volume = VolumeInferer()(projections, network, matrices)
    prior = network.prior(projections, matrices, None)
    assert (volume - network.add_prior(torch.zeros_like(volume), prior)).square().mean() < 0.05 * prior.var()


def test_a_compiled_network_makes_its_prior(scan, network, phantom):
    """Its solver asks NumPy for the geometry, which no graph can hold."""
    projections, matrices = projections_of(phantom, scan, ANGLES)
    points = torch.rand(1, 50, 3)
    network.eval()
    expected = PointForward(network)(projections, matrices, points)["points"]
    network.stay_out_of_graphs()
    compiled = torch.compile(PointForward(network), backend="eager")(projections, matrices, points)["points"]
    torch.testing.assert_close(compiled, expected)


def test_only_the_sparse_views_reach_the_prior(scan, network, phantom):
    projections, matrices = projections_of(phantom, scan, ANGLES)
    mask = torch.tensor([[True, True, False, True]])
    chosen = [0, 1, 3]
    torch.testing.assert_close(
        network.prior(projections, matrices, mask), network.prior(projections[:, chosen], matrices[:, chosen], None)
    )


def test_views_that_fill_up_a_batch_do_not_count_twice(scan, network, phantom):
    projections, matrices = projections_of(phantom, scan, ANGLES)
    filled = [*range(6), 0, 1, 2]
    torch.testing.assert_close(
        network.prior(projections[:, filled], matrices[:, filled], None), network.prior(projections, matrices, None)
    )


def test_untrained_networks_nearly_give_the_prior(scan, network, phantom):
    projections, matrices = projections_of(phantom, scan, ANGLES)
    network.eval()
    volume = VolumeInferer(backend="points")(projections, network, matrices)
    prior = network.prior(projections, matrices, None)
    assert (volume - prior).square().mean() < 0.05 * prior.var()


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_grid_decoding_equals_the_point_wise_path(scan, network, phantom, backend):
    projections, matrices = projections_of(phantom, scan, ANGLES)
    lively(network)
    shape = (9, 13, 30)
    expected = VolumeInferer(shape, backend="points")(projections, network, matrices)
    found = VolumeInferer(shape, backend=backend)(projections, network, matrices)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert expected.std() > 0.05


def test_the_one_tensor_call_is_the_same(scan, network, phantom):
    projections, matrices = projections_of(phantom, scan, ANGLES)
    network.eval()
    with torch.no_grad():
        volume = network(projections)
    torch.testing.assert_close(
        volume.clamp(0, 1), VolumeInferer(backend="numba")(projections, network, matrices), atol=1e-4, rtol=0
    )


def test_training_reaches_every_part_and_takes_a_given_prior(scan, network, phantom):
    projections, matrices = projections_of(phantom, scan, ANGLES)
    mask, points = torch.ones(1, 4, dtype=torch.bool), torch.rand(1, 50, 3)
    forward = PointForward(network)
    forward(projections, matrices, points, mask)["points"].square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.fusion.parameters() if p.dim() > 1)
    network.eval()
    with torch.no_grad():
        made = forward(projections, matrices, points, mask)["points"]
        given = forward(projections, matrices, points, mask, network.prior(projections, matrices, mask))["points"]
        other = forward(projections, matrices, points, mask, torch.zeros(1, 1, 24, 24, 24))["points"]
    torch.testing.assert_close(given, made)
    assert (other - made).abs().max() > 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prior": {"size": 32}}, "has a size of 32 and 3 resolutions, where low_resolution is 6"),
        ({"prior": PRIOR, "low_resolution_grid": "corner"}, "grids are of corners"),
        ({"prior": {**PRIOR, "method": "magic"}}, "method: is 'magic'"),
        ({"prior": {**PRIOR, "options": {"speed": 1}}}, "has no option speed"),
    ],
)
def test_refuses(scan, options, message):
    with pytest.raises(InputError, match=message):
        DiCE(scan, **{**TINY, **options})


def test_pixels_that_cannot_be_averaged_are_refused(scan, network):
    with pytest.raises(ValueError, match="73 x 48 pixels"):
        network.prior(torch.rand(1, 6, 73, 48), torch.zeros(1, 6, 3, 4), None)


def test_embedding_without_its_prior_is_refused(scan, network, phantom):
    projections, matrices = projections_of(phantom, scan, ANGLES)
    with pytest.raises(ValueError, match="has a classical prior"):
        network.embed(network.encode(projections), matrices, None)


def test_scripts(scan, phantom):
    """Exported networks reconstruct their prior by operations that every PyTorch has; also of rays at 45 degrees."""
    network = lively(DiCE(scan, **TINY, prior={**PRIOR, "options": {"iterations": 15, "coarse_iterations": [20]}}))
    angles = np.array([0.0, 0.6, 0.75, 1.6, 2.3])
    projections, matrices = projections_of(phantom, scan, angles)
    scripted = torch.jit.script(network)
    with torch.no_grad():
        own = network.prior(projections, matrices, None)
        others = scripted.prior(projections, matrices, None)
        torch.testing.assert_close(others, own, atol=1e-3, rtol=0)
        mask = torch.tensor([[True, False, True, True]])
        kept = [0, 2, 3]
        torch.testing.assert_close(
            scripted.prior(projections, matrices, mask), scripted.prior(projections[:, kept], matrices[:, kept], None)
        )
        volumes = network(projections, torch.from_numpy(angles)), scripted(projections, torch.from_numpy(angles))
    torch.testing.assert_close(volumes[0], volumes[1], atol=1e-2, rtol=0)


def test_only_total_variation_can_be_scripted(scan, phantom):
    network = DiCE(scan, **TINY, prior={**PRIOR, "method": "sart", "options": {"iterations": 2}}).eval()
    with pytest.raises(torch.jit.Error, match="only priors by total variation"):
        torch.jit.script(network)(torch.rand(1, 3, 48, 48))

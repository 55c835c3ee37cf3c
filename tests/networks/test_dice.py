from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bundle.errors import InputError
from bundle.geometry import circular
from bundle.losses import StageLoss
from bundle.networks import DiCE, PointForward
from bundle.presets import load_preset

TINY = {
    "encoder_channels": (4, 6, 8),
    "decoder_channels": 10,
    "point_channels": (12, 8),
    "low_resolution": 6,
    "quantizer": {"codes": 16, "data_start": False},
}


@pytest.mark.parametrize(("denoise_blocks", "expected"), [(0, 6_041_419), (2, 7_217_899)])
def test_published_parameter_counts(denoise_blocks, expected):
    """The release counts the moving averages among the parameters, and has BN on its output."""
    network = DiCE(load_preset("luna16"), denoise_blocks=denoise_blocks, head="norm_act")
    averages = sum(q.codebook.ema_w.numel() + q.codebook.ema_cluster_size.numel() for q in network.embedding.quantizers)
    assert sum(p.numel() for p in network.parameters()) + averages == expected


@pytest.mark.parametrize("preset", ["luna16", "toothfairy"])
@pytest.mark.parametrize("rows", ["+z", "-z"])
def test_default_scan_equals_the_geometry(preset, rows):
    scan = load_preset(preset, row_direction=rows)
    angles = np.deg2rad([0.0, 31.0, 90.0, 170.0, 290.0])
    network = DiCE(scan, **TINY)
    own = network.circular_matrices(torch.tensor(angles)[None].float())[0].numpy()
    reference = scan.geometry(angles).unit_matrices()
    scale = reference[:, 2:, 3:] / own[:, 2:, 3:]  # homogeneous: equal up to one factor per view
    np.testing.assert_allclose(own * scale, reference, atol=2e-3 * np.abs(reference).max(), rtol=1e-4)


@pytest.mark.parametrize("angles", [None, "one", "each"])
def test_one_tensor_in_one_volume_out(scan, angles):
    network = DiCE(scan, **TINY).eval()
    given = {None: None, "one": torch.linspace(0, 3, 5), "each": torch.linspace(0, 3, 5).repeat(2, 1)}[angles]
    with torch.no_grad():
        out = network(torch.rand(2, 5, 24, 32), given)
    assert out.shape == (2, 1, 20, 18, 16)


def test_output_points_of_both_conventions(scan):
    """Published weights answer for voxel i of n at i / (n - 1); other shapes are asked for at the same places."""
    like = torch.zeros(1)
    new, published = DiCE(scan, **TINY), DiCE(scan, output_grid="corner", **TINY)
    n = torch.tensor([20.0, 18.0, 16.0])
    index = torch.stack(torch.meshgrid(*[torch.arange(int(k)).float() for k in n], indexing="ij"), -1).reshape(-1, 3)
    shape, total = [20, 18, 16], 20 * 18 * 16
    torch.testing.assert_close(new.output_points(shape, 0, total, like)[0], (index + 0.5) / n)
    torch.testing.assert_close(published.output_points(shape, 0, total, like)[0], index / (n - 1))
    fine = published.output_points([60, 54, 48], 0, 27 * total, like)[0].reshape(60, 54, 48, 3)[1::3, 1::3, 1::3]
    torch.testing.assert_close(fine.reshape(-1, 3), index / (n - 1), atol=1e-5, rtol=1e-5)


def test_detectors_that_cannot_be_halved_are_refused(scan):
    odd = replace(scan, detector_shape=(22, 32))
    with pytest.raises(InputError, match="multiples of 4"):
        DiCE(odd, **TINY)
    with pytest.raises(ValueError, match="multiples"):
        DiCE(scan, **TINY)(torch.rand(1, 2, 22, 32))


def test_default_angles_span_the_arc(scan):
    network = DiCE(scan, **TINY).eval()
    x = torch.rand(1, 6, 24, 32)
    with torch.no_grad():
        torch.testing.assert_close(network(x), network(x, torch.arange(6) * torch.pi / 6))


@pytest.mark.parametrize("points_per_chunk", [100, 5760, 10**6])
def test_chunks_do_not_change_the_volume(scan, points_per_chunk):
    network = DiCE(scan, **TINY).eval()
    x = torch.rand(1, 4, 24, 32)
    with torch.no_grad():
        whole = network(x)
        network.points_per_chunk = points_per_chunk
        torch.testing.assert_close(network(x), whole)


@pytest.mark.parametrize("denoise_blocks", [0, 2])
@pytest.mark.parametrize("conventions", ["new", "published"])
def test_scripts(scan, denoise_blocks, conventions):
    options = (
        {}
        if conventions == "new"
        else {
            "head": "norm_act",
            "low_resolution_grid": "corner",
            "output_grid": "corner",
            "projection_sampling": "corner_aligned",
        }
    )
    network = DiCE(scan, denoise_blocks=denoise_blocks, **TINY, **options).eval()
    x = torch.rand(1, 4, 24, 32)
    with torch.no_grad():
        scripted = torch.jit.script(network)
        torch.testing.assert_close(scripted(x), network(x))
        angles = torch.linspace(0, 1, 4)
        torch.testing.assert_close(scripted(x, angles), network(x, angles))


def test_unused_views_do_not_reach_the_points(scan):
    """2D features come from the sparse views alone; without denoising layers 3D features come from all."""
    network = DiCE(scan, **TINY)
    x = torch.rand(1, 6, 24, 32)
    changed = x.clone()
    changed[:, 3:] += 1.0
    matrices = network.circular_matrices(torch.linspace(0, 3, 6)[None])
    network.embed(network.encode(x), matrices, None)  # in training mode: codes start from features
    network.eval()
    mask = torch.tensor([[True, True, True]])
    points = torch.rand(1, 40, 3)
    with torch.no_grad():
        features, other = network.encode(x), network.encode(changed)
        volume = network.embed(features, matrices, mask).volume
        torch.testing.assert_close(
            network.decode(features, volume, matrices, points, mask),
            network.decode(other, volume, matrices, points, mask),
        )
        assert not torch.allclose(network.embed(other, matrices, mask).volume, volume)


def test_short_mask_equals_long_mask(scan):
    network = PointForward(DiCE(scan, denoise_blocks=1, **TINY)).eval()
    x, points = torch.rand(1, 6, 24, 32), torch.rand(1, 40, 3)
    matrices = network.network.circular_matrices(torch.linspace(0, 3, 6)[None])
    with torch.no_grad():
        short = network(x, matrices, points, torch.tensor([[True, True, True]]))
        long = network(x, matrices, points, torch.tensor([[True, True, True, False, False, False]]))
    torch.testing.assert_close(short["points"], long["points"])


def test_dense_branch_only_where_there_are_more_views(scan):
    network = DiCE(scan, denoise_blocks=1, **TINY).eval()
    matrices = network.circular_matrices(torch.linspace(0, 3, 6)[None])
    features = network.encode(torch.rand(1, 6, 24, 32))
    assert network.embed(features, matrices, None).dense == []
    trained = network.embed(features, matrices, torch.tensor([[True, True]]))
    assert len(trained.dense) == len(trained.denoised) == 3
    assert not any(d.requires_grad for d in trained.dense)


def test_every_width_and_depth_is_an_argument(scan):
    network = DiCE(scan, (3, 5), 2, 7, 1, (9,), 4, 3, {"codes": 5})
    assert len(network.encoder.levels[0][1].layers) == 2
    assert len(network.embedding.denoisers[0].layers) == 3
    assert network(torch.rand(1, 2, 24, 32)).shape == (1, 1, 20, 18, 16)


def test_frozen_parts_stay_as_they_are(scan):
    network = DiCE(scan, **TINY)
    network.freeze(["encoder", "embedding.quantizers"])
    network.train()
    assert not network.encoder.stem.training
    assert not network.embedding.quantizers[0].training
    assert network.point_decoder.training
    with pytest.raises(InputError, match="encodr"):
        network.freeze(["encodr"])


def test_weights_of_other_conventions_are_refused(scan):
    published = DiCE(scan, low_resolution_grid="corner", **TINY)
    with pytest.raises(InputError, match="low_resolution_grid"):
        DiCE(scan, **TINY).load_state_dict(published.state_dict())


def test_scan_is_not_part_of_the_weights(scan):
    """Weights pretrained on one scan load into a network of another."""
    other = load_preset("knee", volume_shape=(8, 8, 8))
    DiCE(other, **TINY).load_state_dict(DiCE(scan, **TINY).state_dict())


def test_offset_geometry_reaches_the_network_by_its_matrices(scan):
    """Any geometry's matrices can be passed; a detector shifted by whole pixels equals shifted projections."""
    network = DiCE(scan, **TINY).eval()
    base = {
        "sod_mm": scan.sod_mm,
        "sdd_mm": scan.sdd_mm,
        "detector_shape": scan.detector_shape,
        "pixel_mm": scan.pixel_mm,
        "volume_shape": scan.volume_shape,
        "voxel_mm": scan.voxel_mm,
    }
    plain = circular([0.3, 1.3], **base).unit_matrices()
    shifted = circular([0.3, 1.3], **base, detector_offset_mm=(0.0, 12.0)).unit_matrices()
    points = torch.rand(1, 50, 3)
    from bundle.networks.feature_sampling import detector_coordinates

    a, b = (detector_coordinates(torch.tensor(m, dtype=torch.float32)[None], points) for m in (plain, shifted))
    torch.testing.assert_close(a[..., 1] - b[..., 1], torch.full_like(a[..., 1], 2 / 32), atol=1e-5, rtol=0)
    assert network.encode(torch.rand(1, 2, 24, 32))[0].shape == (1, 2, 4, 24, 32)


@pytest.mark.parametrize("denoise_blocks", [0, 1])
def test_mixed_precision_training_step(scan, denoise_blocks):
    """A bfloat16 step gives nearly the loss of float32, and finite float32 gradients."""
    losses = []
    for mixed in (False, True):
        torch.manual_seed(0)
        forward = PointForward(DiCE(scan, denoise_blocks=denoise_blocks, **TINY))
        x, points = torch.rand(1, 6, 24, 32), torch.rand(1, 40, 3)
        matrices = forward.network.circular_matrices(torch.linspace(0, 3, 6)[None])
        loss = StageLoss(0.1, 1.0 if denoise_blocks else 0.0)
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            total = loss(forward(x, matrices, points, torch.tensor([[True, True, True]])), torch.rand(1, 1, 40))
        total.backward()
        gradients = [p.grad for p in forward.parameters() if p.grad is not None]
        assert all(g.dtype == torch.float32 and torch.isfinite(g).all() for g in gradients)
        losses.append(float(total.detach()))
    assert losses[1] == pytest.approx(losses[0], rel=0.05)

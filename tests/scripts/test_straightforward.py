from __future__ import annotations

import pytest
import torch

from bundle.losses import StageLoss
from bundle.presets import load_preset
from scripts.benchmarks.straightforward import Straightforward, centres
from scripts.benchmarks.subject import SMALL, make_network, network_of, phantom_projections
from scripts.benchmarks.training_check import TOLERANCES, compare_step

SHAPE = (7, 5, 6)
TINY = {**SMALL, "encoder_channels": [4, 6, 8], "decoder_channels": 10, "point_channels": [12, 8], "codes": 16}


@pytest.fixture(scope="module")
def scan():
    return load_preset("abdomenatlas", (16, 24), SHAPE)


@pytest.mark.parametrize("denoise_blocks", [0, 1])
def test_it_is_the_same_function_as_the_network(scan, denoise_blocks):
    sizes = {**TINY, "denoise_blocks": denoise_blocks}
    network = make_network(scan, sizes, seed=3)
    plain = Straightforward(network.state_dict(), sizes).eval()
    angles = [0.1, 0.7, 1.6, 2.9]
    projections = phantom_projections(scan, angles)
    matrices = torch.from_numpy(scan.geometry(angles).unit_matrices()).float()[None]
    keep = torch.tensor([[True, False, True]])  # of three; the fourth view is for the 3D features alone
    points = centres(SHAPE, torch.arange(7 * 5 * 6))
    with torch.no_grad():
        features = network.encode(projections)
        volume = network.embed(features, matrices, keep).volume
        expected = network.decode(features, volume, matrices, points, keep)
        found = plain(projections, matrices, points, keep)["points"]
    assert expected.std() > 0.05
    assert torch.allclose(found, expected, atol=1e-5)
    everything = plain(projections, matrices, points)["points"]
    assert (everything - expected).abs().max() > 1e-3  # the mask matters


@pytest.mark.parametrize(
    ("loss", "denoise_blocks", "freeze"),
    [
        (StageLoss(0.1, 0.0), 0, []),
        (StageLoss(0.0, 1.0), 1, ["encoder", "embedding.quantizers"]),
    ],
)
def test_a_training_step_is_the_same(loss, denoise_blocks, freeze):
    found = compare_step(loss, denoise_blocks, freeze, TINY)
    assert all(found[name] <= limit for name, limit in TOLERANCES.items()), found


def test_weights_of_other_conventions_are_refused(scan):
    published = {**TINY, "projection_sampling": "corner_aligned"}
    with pytest.raises(ValueError, match="conventions"):
        Straightforward(network_of(scan, published).state_dict(), TINY)


def test_points_lie_at_voxel_centres():
    points = centres((2, 1, 4), torch.tensor([0, 3, 6]))
    assert torch.equal(points, torch.tensor([[[0.25, 0.5, 0.125], [0.25, 0.5, 0.875], [0.75, 0.5, 0.625]]]))

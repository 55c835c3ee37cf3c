from __future__ import annotations

import torch

from bundle.data.sample_views import SampleViewsd
from bundle.data.scan_views import ScanViewsd
from bundle.data.seeded import SeededCompose
from bundle.engines import PreparePoints
from bundle.geometry_rows import unpack_geometry
from bundle.networks import DiCE
from bundle.physics.acquisition import Acquisition
from bundle.physics.noise import DetectorNoise
from bundle.presets import load_preset
from bundle.simulation import project_own_voxels
from tests.networks.test_dice import TINY

PRIOR = {"size": 24, "channels": (4, 6), "options": {"iterations": 5}}


def item_of(phantom) -> dict:
    return {"image": torch.from_numpy(phantom)[None].float(), "seed": 5}


def test_projections_are_those_of_the_drawn_views(scan, phantom):
    """Also of the views that fill up an item that drew fewer than others."""
    views = SampleViewsd(scan, [3, 5])
    for seed in range(4):
        views.set_random_state(seed)
        drawn = views(item_of(phantom))
        done = ScanViewsd(scan)(drawn)
        expected = project_own_voxels(drawn["image"][None], unpack_geometry(drawn["geometry"]), scan.hu_window)[0]
        torch.testing.assert_close(done["projections"], expected)
        assert "prior" not in done


def test_noise_follows_from_the_seed_and_repeated_views_share_it(scan, phantom):
    acquisition = Acquisition(noise=DetectorNoise(photons=1e4))
    compose = SeededCompose([SampleViewsd(scan, [3, 6]), ScanViewsd(scan, acquisition=acquisition)])
    made = [compose({**item_of(phantom), "seed": seed}) for seed in range(6)]
    again = compose({**item_of(phantom), "seed": 2})
    torch.testing.assert_close(again["projections"], made[2]["projections"], atol=0, rtol=0)
    filled = [item for item in made if len(item["views"].unique()) == 3]
    assert filled
    for item in filled:
        torch.testing.assert_close(item["projections"][:3], item["projections"][3:], atol=0, rtol=0)


def test_the_kept_prior_is_the_networks_own(phantom):
    scan = load_preset("luna16", (48, 48), (24, 24, 24))
    network = DiCE(scan, **TINY, prior=PRIOR)
    volume = torch.rand(1, 24, 24, 24)
    views = SampleViewsd(scan, 4, 9)
    views.set_random_state(1)
    item = ScanViewsd(scan, prior=network.prior)(views({"image": volume, "values": torch.rand(1, 7)}))
    item["points"] = torch.rand(7, 3)
    batch = {key: torch.as_tensor(value)[None] for key, value in item.items() if key != "views"}
    projections, _, _, arguments = PreparePoints(scan)(batch)
    expected = network.prior(projections, arguments["matrices"], arguments["sparse_mask"])
    torch.testing.assert_close(arguments["prior"], expected)
    assert arguments["prior"].shape == (1, 1, 24, 24, 24)


def test_networks_without_a_prior_keep_none(scan, phantom):
    item = SampleViewsd(scan, 4)(item_of(phantom))
    assert "prior" not in ScanViewsd(scan, prior=DiCE(scan, **TINY).prior)(item)

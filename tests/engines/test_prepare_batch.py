from __future__ import annotations

import numpy as np
import torch

from bundle.engines import PreparePoints, PrepareVolume
from bundle.geometry_rows import pack_geometry
from bundle.physics.acquisition import Acquisition
from bundle.physics.attenuation import unit_integral_to_normalised
from bundle.physics.noise import DetectorNoise
from bundle.projector import ConeBeamProjector


def batch_of(scan, phantom: np.ndarray, views: int = 5, sparse: int = 3) -> dict:
    angles = torch.stack([torch.linspace(0, 2, views), torch.linspace(1, 3, views)])
    mask = torch.stack([torch.arange(views) < sparse, torch.arange(views) < 2])
    return {
        "image": torch.stack([torch.from_numpy(phantom), torch.from_numpy(phantom).flip(0)])[:, None],
        "angles_rad": angles,
        "geometry": torch.stack([pack_geometry(scan.geometry(a.double().numpy())) for a in angles]),
        "matrices": torch.rand(2, views, 3, 4),
        "sparse_mask": mask,
        "points": torch.rand(2, 7, 3),
        "values": torch.rand(2, 1, 7),
    }


def test_every_item_is_projected_at_its_own_angles(scan, phantom):
    batch = batch_of(scan, phantom)
    projections, values, _, kwargs = PreparePoints(scan)(batch, "cpu")
    for i in range(2):
        projector = ConeBeamProjector(scan.geometry(batch["angles_rad"][i].numpy()))
        expected = unit_integral_to_normalised(projector(batch["image"][i : i + 1]))[0]
        torch.testing.assert_close(projections[i], expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(values, batch["values"])
    assert torch.equal(kwargs["points"], batch["points"])


def test_mask_is_as_short_as_the_most_sparse_views(scan, phantom):
    _, _, _, kwargs = PreparePoints(scan)(batch_of(scan, phantom), "cpu")
    assert kwargs["sparse_mask"].tolist() == [[True, True, True], [True, True, False]]
    everything = batch_of(scan, phantom)
    everything["sparse_mask"][:] = True
    assert PreparePoints(scan)(everything, "cpu")[3]["sparse_mask"] is None


def test_stored_projections_are_used(scan, phantom):
    batch = {**batch_of(scan, phantom), "projections": torch.rand(2, 5, 24, 32)}
    assert torch.equal(PrepareVolume(scan)(batch, "cpu")[0], batch["projections"])


def test_evaluation_noise_is_reproducible(scan, phantom):
    prepare = PrepareVolume(scan, Acquisition(noise=DetectorNoise(1e4)), seed=1)
    first, target, _, _ = prepare(batch_of(scan, phantom), "cpu")
    second = prepare(batch_of(scan, phantom), "cpu")[0]
    assert torch.equal(first, second)
    assert target.shape == (2, 1, 20, 18, 16)
    clean = PrepareVolume(scan)(batch_of(scan, phantom), "cpu")[0]
    assert 0 < float((first - clean).abs().mean()) < 0.05


def test_views_that_fill_up_a_batch_repeat_others_with_their_noise(scan, phantom):
    batch = batch_of(scan, phantom)
    order = [0, 1, 2, 0, 1]
    for key in ("geometry", "angles_rad", "matrices"):
        batch[key] = batch[key][:, order]
    projections = PreparePoints(scan, Acquisition(noise=DetectorNoise(1e3)))(batch, "cpu")[0]
    assert torch.equal(projections[:, 3:], projections[:, :2])
    assert not torch.equal(projections[:, 0], projections[:, 1])

from __future__ import annotations

import numpy as np
import pytest
import torch

from bundle.engines import PreparePoints, PrepareVolume
from bundle.errors import InputError
from bundle.geometry_rows import pack_geometry, unpack_geometry
from bundle.physics.acquisition import Acquisition
from bundle.physics.attenuation import unit_integral_to_normalised
from bundle.physics.noise import DetectorNoise, case_generator
from bundle.physics.truncation import DetectorTruncation
from bundle.projector import ConeBeamProjector
from bundle.sampling.misalignment import Misalignment


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


def named_batch(scan, phantom: np.ndarray) -> dict:
    return {**batch_of(scan, phantom), "case": ["first", "second"]}


def test_a_misaligned_scan_is_simulated_and_another_is_told(scan, phantom):
    batch = named_batch(scan, phantom)
    prepare = PrepareVolume(scan, seed=5, misalignment=Misalignment(2.0, (0.0, 18.0)))
    projections, _, _, told = prepare(batch, "cpu")
    plain = PrepareVolume(scan, seed=5)(batch, "cpu")[0]
    assert torch.equal(told["matrices"], batch["matrices"])
    assert torch.equal(batch["geometry"], named_batch(scan, phantom)["geometry"])
    for i, case in enumerate(batch["case"]):
        rows, back = torch.unique(batch["geometry"][i], dim=0, return_inverse=True)
        generator = case_generator(5, f"misalignment of {case}", "cpu")
        measured = Misalignment(2.0, (0.0, 18.0)).disturb(unpack_geometry(rows), generator)
        expected = unit_integral_to_normalised(ConeBeamProjector(measured)(batch["image"][i : i + 1]))[0, back]
        torch.testing.assert_close(projections[i], expected)
    assert float((projections - plain).abs().max()) > 0.1 * float(plain.max())


def test_misalignment_is_the_same_for_a_case_every_time(scan, phantom):
    prepare = PrepareVolume(scan, seed=5, misalignment=Misalignment(2.0))
    batch = named_batch(scan, phantom)
    first = prepare(batch, "cpu")[0]
    swapped = {key: value[::-1] if isinstance(value, list) else value.flip(0) for key, value in batch.items()}
    assert torch.equal(prepare(swapped, "cpu")[0].flip(0), first)
    assert not torch.equal(prepare({**batch, "case": ["first", "third"]}, "cpu")[0][1], first[1])
    assert not torch.equal(PrepareVolume(scan, seed=6, misalignment=Misalignment(2.0))(batch, "cpu")[0], first)


def test_misalignment_leaves_the_noise_as_it_is(scan, phantom):
    acquisition, batch = Acquisition(noise=DetectorNoise(1e4)), named_batch(scan, phantom)
    noisy = PrepareVolume(scan, acquisition, seed=5)(batch, "cpu")[0]
    assert torch.equal(PrepareVolume(scan, acquisition, seed=5, misalignment=Misalignment())(batch, "cpu")[0], noisy)


def test_truncation_is_of_what_was_simulated(scan, phantom):
    batch = named_batch(scan, phantom)
    prepare = PrepareVolume(scan, Acquisition(noise=DetectorNoise(1e4)), seed=5)
    whole = prepare(batch, "cpu")[0]
    prepare.truncation = DetectorTruncation(0.25)
    truncated = prepare(batch, "cpu")[0]
    assert torch.equal(truncated, whole[..., [12] * 12 + list(range(12, 20)) + [19] * 12])
    assert not torch.equal(truncated, whole)


@pytest.mark.parametrize(
    ("name", "change"), [("misalignment", Misalignment(1.0)), ("truncation", DetectorTruncation(0.5))]
)
def test_stored_projections_cannot_be_perturbed(scan, phantom, name, change):
    batch = {**named_batch(scan, phantom), "projections": torch.rand(2, 5, 24, 32)}
    with pytest.raises(InputError, match=rf"^{name}: .*set prepared_projections and cache_projections to false"):
        PrepareVolume(scan, **{name: change})(batch, "cpu")

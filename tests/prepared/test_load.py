"""Items of prepared cases: the same as of the volumes and projections that they were made from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.transforms import Compose

from bundle.data.datalist import load_datalist
from bundle.data.sample_points import SamplePointsd
from bundle.data.sample_views import SampleViewsd
from bundle.engines import PreparePoints, PrepareVolume
from bundle.errors import InputError
from bundle.physics.acquisition import Acquisition
from bundle.physics.noise import DetectorNoise
from bundle.prepared.load import OpenPreparedd, SampleBlockd
from bundle.prepared.resident import ResidentVolumes
from bundle.sampling.points import is_held_out
from bundle.simulation import OWN_VOXELS, SCANNED_FROM
from tests.prepared.sets import AFFINE_RAS, write_phantom, write_set


@pytest.fixture
def folder(tmp_path, scan):
    write_phantom(tmp_path / "one", scan)
    return str(tmp_path / "one")


def item_of(folder: str, *transforms) -> dict:
    pipeline = Compose(transforms)
    pipeline.set_random_state(seed=3)
    return pipeline({"image": folder, "case": "one"})


def test_whole_volume_with_its_affine(folder, scan, phantom):
    image = item_of(folder, OpenPreparedd("image", scan, whole=True))["image"]
    assert image.shape == (1, *scan.volume_shape)
    np.testing.assert_allclose(image[0].numpy(), phantom, atol=1e-5)
    np.testing.assert_array_equal(image.affine, AFFINE_RAS)


def test_points_of_one_block(folder, scan, phantom):
    item = item_of(folder, OpenPreparedd("image", scan), SampleBlockd(500))
    assert item["image"] == folder
    index = (item["points"].numpy() * scan.volume_shape - 0.5).round().astype(int)
    np.testing.assert_allclose(item["values"][0].numpy(), phantom[tuple(index.T)], atol=1e-5)
    assert len(np.unique(index % (4, 2, 4), axis=0)) == 1
    assert len(np.unique(index, axis=0)) > 150  # of 180 that the block has


def test_pairs_of_one_block_are_its_neighbours(folder, scan, phantom):
    item = item_of(folder, OpenPreparedd("image", scan), SampleBlockd(300, pairs=True))
    index = (item["points"].numpy() * scan.volume_shape - 0.5).round().astype(int)
    np.testing.assert_allclose(item["values"][0].numpy(), phantom[tuple(index.T)], atol=1e-5)
    first, second = np.split(index, 2)
    assert {tuple(step) for step in second - first} == {(4, 0, 0), (0, 2, 0), (0, 0, 4)}


def test_all_blocks_are_drawn_and_held_out_planes_are_not(folder, scan):
    sample = SampleBlockd(50, hold_out_every=4)
    sample.set_random_state(seed=0)
    drawn = [sample({"image": folder})["points"].numpy() for _ in range(400)]
    index = (np.concatenate(drawn) * scan.volume_shape - 0.5).round().astype(int)
    assert not is_held_out(index, 4).any()
    assert len(np.unique(index % (4, 2, 4), axis=0)) == 32


def test_blocks_that_are_held_out_as_a_whole(tmp_path, scan):
    cubic = scan.resized(volume_shape=(16, 16, 16))
    write_phantom(tmp_path / "cubic", cubic)
    sample = SampleBlockd(20, hold_out_every=4)  # a block's voxels all have the same sum modulo 4
    sample.set_random_state(seed=0)
    for _ in range(100):
        index = (sample({"image": str(tmp_path / "cubic")})["points"].numpy() * 16 - 0.5).round().astype(int)
        assert not is_held_out(index, 4).any()


@pytest.mark.parametrize("row_direction", ["+z", "-z"])
def test_views_belong_to_their_geometry(folder, scan, phantom, row_direction):
    """Stored projections of the chosen views are what simulating them gives."""
    turned = replace(scan, row_direction=row_direction)
    item = item_of(folder, OpenPreparedd("image", turned), SampleViewsd(turned, [4], 6), SampleBlockd(10))
    assert item["acquisition"] == "exact"
    assert item["projections"].shape == (6, 24, 32)
    batch = {"image": torch.from_numpy(phantom)[None, None], **{k: item[k][None] for k in ("matrices", "sparse_mask")}}
    batch["geometry"] = item["geometry"][None]
    simulated = PrepareVolume(turned)(batch, "cpu")[0][0]
    stored = {**batch, **{key: item[key][None] for key in ("projections", "projection_coding")}}
    assert stored["projections"].dtype == torch.uint16
    torch.testing.assert_close(PrepareVolume(turned)(stored, "cpu")[0][0], simulated, rtol=0, atol=2e-4)
    expected = turned.geometry(turned.candidate_angles_rad[item["views"]]).unit_matrices()
    np.testing.assert_allclose(item["matrices"], expected, rtol=1e-5, atol=1e-6)


def test_on_the_fly_from_resident_volumes(folder, scan, phantom):
    item = item_of(
        folder,
        OpenPreparedd("image", scan, projections=False, own_voxels=True),
        SampleViewsd(scan, [4], 6),
        SampleBlockd(10),
    )
    assert "projections" not in item
    loader = DataLoader(Dataset([item, item]), batch_size=2)
    volumes = ResidentVolumes(gigabytes=1)
    projections, values, _, arguments = PreparePoints(scan, volumes=volumes)(next(iter(loader)), "cpu")
    assert projections.shape == (2, 6, 24, 32)
    stored = item_of(folder, OpenPreparedd("image", scan), SampleViewsd(scan, [4], 6), SampleBlockd(10))
    scale, offset = stored["projection_coding"]
    torch.testing.assert_close(projections[1], stored["projections"].float() * scale + offset, rtol=0, atol=2e-4)
    assert torch.equal(values[0], item["values"])
    assert arguments["points"].shape == (2, 10, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"volume_shape": (16, 18, 16)}, r"was prepared with volume_shape \[20, 18, 16\]"),
        ({"voxel_mm": (8.0, 8.0, 10.0)}, "was prepared with voxel_mm"),
        ({"hu_window": (-1000.0, 2000.0)}, "was prepared with hu_window"),
        ({"detector_shape": (24, 16)}, r"was prepared with detector_shape \[24, 32\], but preset small has \[24, 16\]"),
        ({"pixel_mm": (14.0, 13.0)}, "was prepared with pixel_mm"),
        ({"sod_mm": 400.0}, r"was prepared with sod_mm \[500.*\], but preset small has \[400.0\]"),
        ({"sdd_mm": 900.0}, "was prepared with sdd_mm"),
    ],
)
def test_prepared_for_another_scan(folder, scan, change, message):
    with pytest.raises(InputError, match=message):
        OpenPreparedd("image", replace(scan, **change))({"image": folder})


def test_another_detector_is_fine_on_the_fly(folder, scan):
    other = replace(scan, detector_shape=(12, 16), pixel_mm=(28.0, 24.0))
    item = OpenPreparedd("image", other, projections=False, own_voxels=True)({"image": folder})
    assert item[SCANNED_FROM] == OWN_VOXELS


def test_own_voxels_are_projected_only_if_asked_for(folder, scan):
    with pytest.raises(InputError, match=r"no voxels finer than those that are reconstructed.*own_voxels to true"):
        OpenPreparedd("image", scan, projections=False)({"image": folder})


def test_from_an_object_store(tmp_path, scan, phantom):
    fsspec = pytest.importorskip("fsspec", reason="needs fsspec")
    local = write_set(tmp_path / "set", scan, {"training": ["a", "b"], "test": ["c"]})
    memory = fsspec.filesystem("memory")
    for path in local.rglob("*.*"):
        memory.pipe(f"/bucket/{path.relative_to(local)}", path.read_bytes())
    cases = load_datalist("memory://bucket", "training")
    assert [case["case"] for case in cases] == ["a", "b"]
    pipeline = (OpenPreparedd("image", scan), SampleViewsd(scan, [4], 6), SampleBlockd(10))
    remote, here = item_of(cases[0]["image"], *pipeline), item_of(str(local / "cases" / "a"), *pipeline)
    for key in ("projections", "points", "values", "matrices"):
        assert torch.equal(remote[key], here[key]), key
    whole = OpenPreparedd("image", scan, whole=True)({"image": cases[1]["image"]})["image"]
    np.testing.assert_allclose(whole[0].numpy(), phantom, atol=1e-5)


def test_other_physics_than_asked_for(folder, scan):
    asked = Acquisition(noise=DetectorNoise(1e4))
    with pytest.raises(InputError, match=r"acquisition: is .*10000.*, but the stored projections of .*one have exact"):
        OpenPreparedd("image", scan, acquisition=asked)({"image": folder})
    OpenPreparedd("image", scan, acquisition=asked, projections=False, own_voxels=True)({"image": folder})


@pytest.mark.parametrize("sample", [SampleBlockd, SamplePointsd])
def test_nothing_left_to_draw(sample):
    with pytest.raises(InputError, match="hold_out_every: is 1"):
        sample(10, hold_out_every=1)
    with pytest.raises(InputError, match="hold_out_every: leaves few pairs"):
        sample(10, hold_out_every=4, pairs=True)
    with pytest.raises(InputError, match="points_per_volume: is 11, but pairs are drawn"):
        sample(11, pairs=True)

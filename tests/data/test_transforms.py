"""The transforms of the configurations, from files on disk to training items."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import list_data_collate

from bundle.data.ct_volume import read_ct
from bundle.data.load_ct import LoadCTd
from bundle.data.load_projections import LoadProjectionsd, network_input, unit_to_patient
from bundle.data.projection_file import ProjectionSet, write_projections
from bundle.data.reconstruction_input import LoadReconstructionInputd, project_ct
from bundle.data.sample_points import SamplePointsd
from bundle.data.sample_views import SampleViewsd
from bundle.data.simulate import SimulateProjectionsd
from bundle.data.to_scan_grid import ToScanGridd
from bundle.errors import InputError
from bundle.physics.acquisition import Acquisition
from bundle.physics.noise import DetectorNoise
from tests.conftest import ROOT, write_nifti


@pytest.fixture
def ct_transforms(scan):
    """The CT transforms exactly as configs/inference.json defines them, for the small scan."""
    parser = ConfigParser()
    parser.read_config(str(ROOT / "configs" / "inference.json"))
    parser["scan"] = scan
    return parser.get_parsed_content("reader").ct_transforms


@pytest.mark.parametrize("axcodes", ["LPS", "RAS", "LAS", "PIR", "SAL", "AIL"])
def test_orientation_on_disk_does_not_matter(tmp_path, scan, phantom, ct_transforms, axcodes):
    affine = write_nifti(tmp_path / "ct.nii.gz", phantom, scan.voxel_mm, axcodes)
    image = ToScanGridd("image", scan, own_voxels=True)({"image": read_ct(tmp_path / "ct.nii.gz")})["image"]
    np.testing.assert_allclose(image[0].numpy(), phantom, atol=2e-3)
    np.testing.assert_allclose(np.asarray(image.affine), affine, atol=1e-3)
    image = ct_transforms({"image": tmp_path / "ct.nii.gz"})["image"]  # means of what is interpolated between voxels
    assert np.abs(image[0].numpy() - phantom).mean() < 0.02
    np.testing.assert_allclose(np.asarray(image.affine), affine, atol=1e-3)


def test_other_spacing_and_extent(tmp_path, scan, phantom, ct_transforms):
    """A finer, smaller CT is resampled and padded with air; positions in the patient stay."""
    fine = np.repeat(np.repeat(np.repeat(phantom, 2, 0), 2, 1), 2, 2)[4:-4, 6:-2, 2:-6]
    write_nifti(tmp_path / "ct.nii.gz", fine, [v / 2 for v in scan.voxel_mm], "RAS")
    image = ct_transforms({"image": tmp_path / "ct.nii.gz"})["image"]
    assert tuple(image.shape[1:]) == tuple(scan.volume_shape)
    assert float(image[0, 0].max()) == 0.0
    centre = np.asarray(image.affine) @ [9.5, 8.5, 7.5, 1.0]
    expected = np.array([70.0, 65.0, -230.0]) + np.array([-4.0, -4.5, 5.0]) * (np.array(fine.shape) - 1) / 2
    np.testing.assert_allclose(centre[:3], expected, atol=np.array(scan.voxel_mm).max() / 2 + 0.1)


def test_views_of_the_scan(scan):
    item = SampleViewsd(scan, [3, 5], 8).set_random_state(0)({})
    assert item["matrices"].shape == (8, 3, 4)
    assert int(item["sparse_mask"].sum()) in (3, 5)
    np.testing.assert_allclose(item["angles_rad"], scan.candidate_angles_rad[item["views"]], rtol=1e-6)


def test_views_for_evaluation_are_fixed(scan):
    draw = SampleViewsd(scan, [3, 5], None, random=False)
    assert draw({})["views"].tolist() == draw({})["views"].tolist() == [0, 13, 26]
    assert draw({"num_sparse": 4})["views"].tolist() == [0, 10, 20, 30]


def test_items_with_fewer_views_repeat_their_own(scan):
    """Batches of different view counts are rectangular, and no feature changes by it."""
    draw = SampleViewsd(scan, [3, 5], None).set_random_state(0)
    items = [draw({}) for _ in range(20)]
    assert {len(item["views"]) for item in items} == {5}
    assert {len(set(item["views"].tolist())) for item in items} == {3, 5}
    short = next(item for item in items if len(set(item["views"].tolist())) == 3)
    assert short["views"].tolist()[3:] == short["views"].tolist()[:2]
    torch.testing.assert_close(short["matrices"][3:], short["matrices"][:2])
    assert short["sparse_mask"].all()


def test_views_of_stored_projections(scan):
    stored = {"projections": torch.arange(40.0)[:, None, None].expand(40, 24, 32)}
    geometry = scan.geometry(scan.candidate_angles_rad)
    stored["angles_rad"] = torch.tensor(np.array(geometry.angles_rad))
    stored["matrices"] = torch.tensor(geometry.unit_matrices())
    item = SampleViewsd(scan, 3, 8).set_random_state(1)(stored)
    assert item["projections"][:, 0, 0].tolist() == item["views"].tolist()
    torch.testing.assert_close(item["matrices"], stored["matrices"][item["views"]])
    with pytest.raises(InputError, match="41"):
        SampleViewsd(scan, 41)(stored)


def test_stored_projections_are_taken_out_or_refused(scan, tmp_path):
    """Where they are to be simulated, and where they are to have physics that nobody knows them to have."""
    geometry = scan.geometry(scan.candidate_angles_rad[:3])
    path = str(tmp_path / "scan.npz")
    values = 3 * np.random.RandomState(2).rand(3, *scan.detector_shape).astype(np.float32)
    write_projections(ProjectionSet(values, geometry), path)
    item = {"case": "one", "projections": path}
    loaded = LoadProjectionsd("projections", scan)(item)
    assert loaded["acquisition"] == "stored"
    assert loaded["projections"].shape == (3, *scan.detector_shape)
    noisy = Acquisition(noise=DetectorNoise(1e4))
    with pytest.raises(InputError, match=r"acquisition: is .*10000.*, but the projections of .*scan\.npz are as"):
        LoadProjectionsd("projections", scan, acquisition=noisy)(item)
    assert LoadProjectionsd("projections", scan, used=False, acquisition=noisy)(item) == {"case": "one"}


def test_equally_spaced_views_are_chosen_whatever_the_stored_order(scan):
    order = np.random.RandomState(0).permutation(40)
    geometry = scan.geometry(scan.candidate_angles_rad[order])
    stored = {"angles_rad": torch.tensor(np.array(geometry.angles_rad)), "matrices": geometry.unit_matrices()}
    for total in (None, 8):
        item = SampleViewsd(scan, 4, total, random=False)(dict(stored))
        expected = SampleViewsd(scan, 4, total, random=False)({})
        torch.testing.assert_close(item["angles_rad"].float(), expected["angles_rad"])
        assert order[item["views"]].tolist() == expected["views"].tolist()
        np.testing.assert_allclose(item["matrices"], expected["matrices"], atol=1e-5)


def test_points_carry_their_values(scan, phantom):
    item = SamplePointsd(200).set_random_state(0)({"image": torch.from_numpy(phantom)[None]})
    index = (item["points"].numpy() * scan.volume_shape - 0.5).round().astype(int)
    np.testing.assert_allclose(item["values"][0], phantom[tuple(index.T)])


def test_pairs_are_neighbours(scan, phantom):
    """Their values' differences are the volume's, along each axis."""
    item = SamplePointsd(300, pairs=True).set_random_state(0)({"image": torch.from_numpy(phantom)[None]})
    index = (item["points"].numpy() * scan.volume_shape - 0.5).round().astype(int)
    np.testing.assert_allclose(item["values"][0], phantom[tuple(index.T)])
    first, second = np.split(index, 2)
    assert {tuple(step) for step in second - first} == {(1, 0, 0), (0, 1, 0), (0, 0, 1)}


def test_same_seed_same_item(scan, phantom):
    items = []
    for _ in range(2):
        views, points = SampleViewsd(scan, [3, 4, 5], 8), SamplePointsd(50)
        views.set_random_state(7)
        points.set_random_state(7)
        items.append(points(views({"image": torch.from_numpy(phantom)[None]})))
    assert torch.equal(items[0]["views"], items[1]["views"])
    assert torch.equal(items[0]["points"], items[1]["points"])


def test_simulated_stored_and_direct_projections_agree(tmp_path, scan, phantom):
    volume = torch.from_numpy(phantom)[None]
    simulated = SimulateProjectionsd(scan)({"image": volume})
    geometry = scan.geometry(scan.candidate_angles_rad)
    stored = ProjectionSet(simulated["projections"].numpy(), geometry, hu_window=scan.hu_window)
    write_projections(stored, tmp_path / "scan.npz")
    loaded = LoadProjectionsd("projections", scan)({"projections": tmp_path / "scan.npz"})
    for key in ("projections", "matrices", "angles_rad"):
        torch.testing.assert_close(loaded[key], simulated[key])
    assert simulated["projections"].shape == (40, 24, 32)


def test_projections_of_another_volume_are_refused(tmp_path, scan, ct_file, ct_transforms):
    """Stored projections are tied to the CT that they are trained with."""
    item = ct_transforms({"image": ct_file})
    volume = item["image"]
    load = LoadProjectionsd("projections", scan)
    data = project_ct(item, scan, 4)
    write_projections(data, tmp_path / "scan.npz")
    load({"image": volume, "projections": tmp_path / "scan.npz"})
    moved = data.world_to_patient.copy()
    moved[0, 3] += 50
    for change in ({"world_to_patient": moved}, {"geometry": replace(data.geometry, voxel_mm=(4.0, 4.5, 5.0))}):
        write_projections(replace(data, **change), tmp_path / "other.npz")
        with pytest.raises(InputError, match=r"other\.npz.*mm away"):
            load({"image": volume, "projections": tmp_path / "other.npz"})


def test_simulated_noise_is_the_same_every_time(scan, phantom):
    volume = torch.from_numpy(phantom)[None]
    clean = SimulateProjectionsd(scan)({"image": volume})["projections"]
    noisy = [
        SimulateProjectionsd(scan, acquisition=Acquisition(noise=DetectorNoise(1e4)), seed=3)({"image": volume})
        for _ in range(2)
    ]
    assert torch.equal(noisy[0]["projections"], noisy[1]["projections"])
    assert 0 < float((noisy[0]["projections"] - clean).abs().mean()) < 0.1


def test_noise_differs_between_cases_and_stored_projections_stay(scan, phantom):
    simulate = SimulateProjectionsd(scan, acquisition=Acquisition(noise=DetectorNoise(1e4)), seed=3)
    first, second = (simulate({"image": torch.from_numpy(phantom)[None], "case": name}) for name in "ab")
    assert not torch.equal(first["projections"], second["projections"])
    measured = {"image": torch.from_numpy(phantom)[None], "projections": torch.ones(40, 24, 32)}
    assert torch.equal(simulate(measured)["projections"], measured["projections"])


def test_network_input_turns_rows_and_resamples(scan, phantom):
    from monai.data import MetaTensor

    volume = MetaTensor(torch.from_numpy(phantom)[None], affine=torch.diag(torch.tensor([-8.0, -9, 10, 1])))
    data = project_ct({"image": volume, "scanned_from": "own voxels"}, scan, 4)
    plain = network_input(data, scan)
    flipped = ProjectionSet(data.projections[:, ::-1].copy(), data.geometry.flip_rows(), hu_window=scan.hu_window)
    for key, value in network_input(flipped, scan).items():
        torch.testing.assert_close(value, plain[key])
    coarse = replace(scan, detector_shape=(12, 16), pixel_mm=(28.0, 24.0))
    smaller = network_input(data, coarse)
    assert smaller["projections"].shape == (4, 12, 16)
    torch.testing.assert_close(smaller["projections"][0, 0, 0], plain["projections"][0, :2, :2].mean())
    torch.testing.assert_close(smaller["matrices"], plain["matrices"])


def test_reconstruction_input_from_ct_and_from_file(tmp_path, scan, ct_file, ct_transforms):
    load = LoadReconstructionInputd("image", scan, ct_transforms, num_views=4)
    from_ct = load({"image": str(ct_file)})
    write_projections(project_ct(ct_transforms({"image": ct_file}), scan, 8), tmp_path / "scan.npz")
    from_file = load({"image": str(tmp_path / "scan.npz")})
    for key in ("image", "matrices", "unit_to_patient"):
        torch.testing.assert_close(from_file[key], from_ct[key])
    assert from_file["scanned_from"] == from_ct["scanned_from"]
    assert from_ct["scanned_from"].startswith("40x36x32 voxels of a CT of 8x9x10 mm; 2x2 rays")
    everything = LoadReconstructionInputd("image", scan, ct_transforms)({"image": str(tmp_path / "scan.npz")})
    assert everything["image"].shape == (8, 24, 32)
    # The unit cube's centre is the CT's centre, in RAS millimetres.
    centre = from_ct["unit_to_patient"].numpy() @ [0.5, 0.5, 0.5, 1]
    np.testing.assert_allclose(
        centre[:3], np.array([70, 65, -230]) + np.array([-8, -9, 10]) * [9.5, 8.5, 7.5], atol=1e-3
    )
    with pytest.raises(InputError, match="9"):
        LoadReconstructionInputd("image", scan, ct_transforms, num_views=9)({"image": str(tmp_path / "scan.npz")})


def test_reconstruction_input_only_from_some_folders(tmp_path, scan, ct_file, ct_transforms):
    """As on a server, whose clients name files: no path and no link leads out."""
    allowed, other = tmp_path / "allowed", tmp_path / "allowed2"
    for folder in (allowed, other):
        folder.mkdir()
        shutil.copy(ct_file, folder / "ct.nii.gz")
    (allowed / "link.nii.gz").symlink_to(other / "ct.nii.gz")
    load = LoadReconstructionInputd("image", scan, ct_transforms, folders=[str(allowed)])
    assert load({"image": str(allowed / "ct.nii.gz")})["image"].shape[0] == 6
    for path in (other / "ct.nii.gz", allowed / ".." / "allowed2" / "ct.nii.gz", allowed / "link.nii.gz"):
        with pytest.raises(InputError, match="outside of the folders"):
            load({"image": str(path)})


def test_reconstruction_input_of_another_size(tmp_path, scan, ct_file, ct_transforms):
    """Refused where a prior needs the scan's, whatever the voxels; not by networks without."""
    made = project_ct(ct_transforms({"image": ct_file}), scan, 4)
    finer = made.geometry.with_volume(tuple(2 * n for n in scan.volume_shape))
    larger = replace(made.geometry, voxel_mm=tuple(1.02 * side for side in scan.voxel_mm))
    load = LoadReconstructionInputd("image", scan, ct_transforms, same_size=True)
    for name, geometry in (("finer", finer), ("larger", larger)):
        write_projections(replace(made, geometry=geometry), tmp_path / f"{name}.npz")
    assert load({"image": str(tmp_path / "finer.npz")})["image"].shape[0] == 4
    with pytest.raises(InputError, match=r"larger.npz: is to become a volume of .*choose another method"):
        load({"image": str(tmp_path / "larger.npz")})
    assert LoadReconstructionInputd("image", scan, ct_transforms)({"image": str(tmp_path / "larger.npz")})


def test_reconstruction_input_describes_the_volume(scan, ct_file, ct_transforms):
    """The projections' metadata are of the grid that will be reconstructed, over the CT's field of view."""
    load = LoadReconstructionInputd("image", scan, ct_transforms, num_views=4, output_shape=(10, 9, 8))
    image = load({"image": ct_file})
    meta = image["image"].meta
    assert tuple(meta["spatial_shape"]) == (10, 9, 8)
    np.testing.assert_allclose(meta["original_affine"], np.asarray(image["image"].affine))
    np.testing.assert_allclose(np.diag(meta["original_affine"])[:3], [-16, -18, 20])
    np.testing.assert_array_equal(meta["matrices"], image["matrices"])


def test_unit_to_patient_is_lps_to_ras(scan):
    data = ProjectionSet(np.zeros((1, 24, 32), np.float32), scan.geometry([0.0]))
    towards_left = unit_to_patient(data) @ [1, 0, 0, 0]
    np.testing.assert_allclose(towards_left[:3], [-160, 0, 0], atol=1e-9)


def test_items_collate(scan, ct_file):
    transforms = [LoadCTd("image"), SampleViewsd(scan, 3, 8), SamplePointsd(20)]
    items = []
    for _ in range(2):
        item = {"image": str(ct_file)}
        for transform in transforms:
            item = transform(item)
        items.append(item)
    batch = list_data_collate(items)
    assert batch["matrices"].shape == (2, 8, 3, 4)
    assert batch["points"].shape == (2, 20, 3)

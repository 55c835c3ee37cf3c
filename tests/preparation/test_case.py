"""One case's preparation: the patient ends up where the paper's grid says, with all that is told about it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from scipy import ndimage

from bundle.data import fine_grid
from bundle.data.fine_grid import averaged, fine_shape
from bundle.data.to_scan_grid import axis_spacing_mm
from bundle.datasets import find_cases
from bundle.errors import InputError
from bundle.preparation.case import prepare_case, source_paths
from bundle.preparation.settings import PrepareSettings
from bundle.prepared.case import PreparedCase
from bundle.simulation import project_own_voxels
from tests.datasets.formats import oblique, reoriented, write_nifti
from tests.datasets.replicas import Anatomy, anatomy, make_replica, replica_anatomy

SMALL = {"volume_shape": (40, 36, 32), "detector_shape": (12, 16)}


def prepared(dataset: str, source, output, number: int = 0, **changes) -> list[PreparedCase]:
    case = find_cases(dataset, source)[number]
    preset = changes.pop("preset", "luna16")
    record = prepare_case(case, PrepareSettings(dataset, preset, **{**SMALL, **changes}), output)
    return [PreparedCase.open(output / "cases" / item["name"]) for item in record["items"]]


def value_at(shown: Anatomy, ras_mm: np.ndarray) -> np.ndarray:
    """HU of an anatomy at positions in patient coordinates, interpolated by other means than the preparation's."""
    index = nib.affines.apply_affine(np.linalg.inv(shown.affine_ras), ras_mm)
    return ndimage.map_coordinates(shown.hu.astype(float), index.T, order=1, mode="nearest")


def assert_shows(case: PreparedCase, shown: Anatomy) -> None:
    """The prepared volume has the means of the anatomy's HU at its positions, of voxels finer than its own."""
    volume = case.volume.read().numpy()
    spacing_mm = axis_spacing_mm(shown.affine_ras).tolist()
    shape = fine_shape(volume.shape, np.multiply(volume.shape, case.voxel_mm).tolist(), spacing_mm)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1).reshape(-1, 3)
    ras_mm = nib.affines.apply_affine(case.affine_ras, (index + 0.5) * volume.shape / shape - 0.5)
    within = nib.affines.apply_affine(np.linalg.inv(shown.affine_ras), ras_mm)
    inside = ((within >= 0) & (within <= np.array(shown.hu.shape) - 1)).all(axis=1)
    outside = ((within < -0.6) | (within > np.array(shown.hu.shape) - 0.4)).any(axis=1)
    low, high = case.hu_window
    expected = np.full(len(index), low, dtype=np.float32)
    expected[inside] = np.clip(value_at(shown, ras_mm[inside]), low, high)
    near_faces = np.where(inside | outside, 0.0, 1.0).astype(np.float32)  # of the outer voxels: not compared
    means, unknown = (
        averaged(torch.from_numpy(v.reshape(shape)), volume.shape).numpy() for v in (expected, near_faces)
    )
    known = unknown < 1e-6
    assert (known & (means > low)).sum() > 2000
    np.testing.assert_allclose(low + volume[known] * (high - low), means[known], atol=0.6)


@pytest.mark.parametrize(
    ("dataset", "preset"),
    [
        ("luna16", "luna16"),
        ("toothfairy", "toothfairy"),
        ("panorama", "panorama"),
        ("pengwin", "pengwin"),
        ("knee", "knee"),
        ("folder", "luna16"),
    ],
)
def test_the_patient_is_where_it_was(tmp_path, monkeypatch, dataset, preset):
    """For every case of every replica: flipped, oblique, compressed, scaled, in metres, in archives, as DICOM."""
    monkeypatch.setattr(fine_grid, "FINEST_SIDE", 96)
    count = 6 if dataset == "folder" else 4
    source = make_replica(dataset, tmp_path, count)
    names = [case.name for case in find_cases(dataset, source)]
    for number in range(count):
        (case,) = prepared(dataset, source, tmp_path / "out", number, preset=preset, candidate_projections=False)
        assert nib.aff2axcodes(case.affine_ras) == ("L", "P", "S")
        assert case.name == names[number]
        assert_shows(case, replica_anatomy(dataset, number))


@pytest.mark.parametrize("axes", ["LPS", "RAS", "SPL", "IAR"])
def test_oblique_cts_in_any_order(tmp_path, axes):
    shown = anatomy()
    shown = Anatomy(shown.hu, oblique(shown.affine_ras), shown.label)
    write_nifti(tmp_path / "raw" / "a.nii.gz", *reoriented(shown.hu, shown.affine_ras, axes))
    (case,) = prepared("folder", tmp_path / "raw", tmp_path / "out", candidate_projections=False)
    assert_shows(case, shown)


def test_centred_on_the_labels_box(tmp_path):
    source = make_replica("panorama", tmp_path, 1)
    (case,) = prepared("panorama", source, tmp_path / "out", preset="panorama", keep_labels=True)
    shown = replica_anatomy("panorama", 0)
    labelled = np.argwhere(shown.label)
    expected = nib.affines.apply_affine(shown.affine_ras, (labelled.min(axis=0) + labelled.max(axis=0)) / 2)
    middle = nib.affines.apply_affine(case.affine_ras, (np.array(case.volume.shape) - 1) / 2)
    np.testing.assert_allclose(middle, expected, atol=1e-3)
    for value in (1, 2):  # labels lie where they were
        centre = nib.affines.apply_affine(shown.affine_ras, np.argwhere(shown.label == value).mean(axis=0))
        found = nib.affines.apply_affine(case.affine_ras, np.argwhere(case.labels == value).mean(axis=0))
        np.testing.assert_allclose(found, centre, atol=6.0)


def test_long_cts_become_parts(tmp_path):
    source = make_replica("abdomenatlas", tmp_path, 3)
    lengths = [32 * replica_anatomy("abdomenatlas", n).affine_ras[2, 2] for n in range(3)]
    for number, length_mm in enumerate(lengths):
        parts = prepared(
            "abdomenatlas", source, tmp_path / "out", number, preset="abdomenatlas", candidate_projections=False
        )
        assert len(parts) == (1 if length_mm <= 384 else 2)
        for part in parts:
            assert_shows(part, replica_anatomy("abdomenatlas", number))
        if len(parts) == 2:
            assert [part.name for part in parts] == [f"BDMAP_{number + 1:08d}_part1", f"BDMAP_{number + 1:08d}_part2"]
            apart = parts[1].affine_ras[2, 3] - parts[0].affine_ras[2, 3]
            assert apart == pytest.approx(length_mm - 384.0)
            assert parts[0].provenance["patient"] == parts[1].provenance["patient"]


def test_projections_can_be_those_of_the_stored_volume(tmp_path):
    source = make_replica("luna16", tmp_path, 1)
    (case,) = prepared("luna16", source, tmp_path / "out", own_voxels=True)
    scan = PrepareSettings("luna16", "luna16", **SMALL).scan
    assert len(case.projections) == scan.candidate_views
    geometry = scan.geometry(scan.candidate_angles_rad[[7, 90]])
    expected = project_own_voxels(case.volume.read()[None, None], geometry, scan.hu_window)[0].numpy()
    np.testing.assert_allclose(case.projections.values([7, 90]).numpy(), expected, atol=2e-4)
    assert case.scanned_from == "own voxels"


def test_projections_are_of_finer_voxels(tmp_path):
    """They differ from those of the stored volume, by no more than what its voxels cannot express."""
    source = make_replica("luna16", tmp_path, 1)
    (case,) = prepared("luna16", source, tmp_path / "out")
    assert re.fullmatch(r"\d+x\d+x\d+ voxels of a CT of .* mm.*; 2x2 rays a pixel", case.scanned_from)
    scan = PrepareSettings("luna16", "luna16", **SMALL).scan
    geometry = scan.geometry(scan.candidate_angles_rad[[7, 90]])
    own = project_own_voxels(case.volume.read()[None, None], geometry, scan.hu_window)[0].numpy()
    difference = case.projections.values([7, 90]).numpy() - own
    assert 0.002 < np.linalg.norm(difference) / np.linalg.norm(own) < 0.1


def test_noise_is_the_cases_own_and_the_same_again(tmp_path):
    source = make_replica("luna16", tmp_path, 1)
    exact, noisy, again, other = (
        prepared("luna16", source, tmp_path / str(number), **options)[0]
        for number, options in enumerate(({}, {"photons": 1e4}, {"photons": 1e4}, {"photons": 1e4, "seed": 1}))
    )
    first = noisy.projections.values(0).numpy()
    np.testing.assert_array_equal(first, again.projections.values(0).numpy())
    assert np.abs(first - other.projections.values(0).numpy()).max() > 1e-3
    assert np.abs(first - exact.projections.values(0).numpy()).max() > 1e-3
    assert exact.record["projections"]["acquisition"] == "exact"
    assert "photons=10000" in noisy.record["projections"]["acquisition"]


def test_record_and_provenance(tmp_path):
    source = make_replica("pengwin", tmp_path, 2)
    case = find_cases("pengwin", source)[1]
    record = prepare_case(case, PrepareSettings("pengwin", "pengwin", **SMALL), tmp_path / "out")
    assert (record["case"], record["patient"]) == ("002", "002")
    (item,) = record["items"]
    for name, entry in item["files"].items():
        contents = (tmp_path / "out" / name).read_bytes()
        assert (len(contents), hashlib.sha256(contents).hexdigest()) == (entry["bytes"], entry["sha256"])
    assert {name.rsplit("/")[-1] for name in item["files"]} == {
        "case.json",
        "volume.npy",
        "geometry.npy",
        "projections.npy",
    }
    image, label = record["sources"]
    assert image["member"] == label["member"] == "002.mha"
    assert image["path"].endswith("PENGWIN_CT_train_images_part2.zip")
    assert image["sha256"] != label["sha256"]
    provenance = PreparedCase.open(tmp_path / "out" / "cases" / "002").provenance
    assert provenance["settings"]["preset"] == "pengwin"
    assert provenance["settings"]["scan.sod_mm"] == 800.0
    assert provenance["source"]["file"] == "PENGWIN_CT_train_images_part2.zip"
    assert provenance["code"].startswith("deepsparse-bundle ")


def test_empty_crop(tmp_path):
    shown = anatomy()
    hu = np.full_like(shown.hu, -1000)
    hu[0, 0, 0] = 40
    write_nifti(tmp_path / "raw" / "air.nii.gz", *reoriented(hu, shown.affine_ras, "LPS"))
    with pytest.raises(InputError, match="crop air: holds nothing but air"):
        prepared("folder", tmp_path / "raw", tmp_path / "out", check_hu=False)


def test_labels_that_nothing_needs_may_be_damaged(tmp_path):
    source = make_replica("abdomenatlas", tmp_path, 1)
    label = source / "BDMAP_00000001" / "combined_labels.nii.gz"
    label.write_bytes(label.read_bytes()[:200])
    (case,) = find_cases("abdomenatlas", source)
    settings = PrepareSettings("abdomenatlas", "abdomenatlas", **SMALL, candidate_projections=False)
    assert [path.name for path in source_paths(case, settings)] == ["ct.nii.gz"]
    record = prepare_case(case, settings, tmp_path / "out")
    assert [Path(entry["path"]).name for entry in record["sources"]] == ["ct.nii.gz"]
    with pytest.raises(InputError, match=r"combined_labels\.nii\.gz"):
        prepare_case(case, replace(settings, keep_labels=True), tmp_path / "other")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "uint8"}, "precision: is 'uint8'. Use one of uint16, float16, float32, legacy_uint8"),
        ({"interpolation": "nearest"}, "interpolation: is 'nearest'"),
        ({"photons": 1e5, "candidate_projections": False}, "photons: has no effect without"),
        ({"photons": -5.0}, "photon"),
        ({"photons": 0.0}, "photon"),
        ({"volume_shape": (16, 16)}, "volume_shape"),
        ({"detector_shape": (0, 16)}, "detector_shape"),
    ],
)
def test_settings_that_make_no_sense(changes, message):
    with pytest.raises(InputError, match=message):
        PrepareSettings("luna16", "luna16", **changes)

"""Every data set's replica is found, and what it shows is read at its place in the patient."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from bundle.datasets import DATASETS, RawCase, RawFile, RawVolume, find_cases, source_files
from bundle.datasets.reading import read_case, read_image
from bundle.errors import InputError
from bundle.presets import preset_names
from tests.datasets.formats import oblique, reoriented, write_dicom, write_metaimage, write_nifti, write_nrrd
from tests.datasets.replicas import Anatomy, anatomy, make_replica, replica_anatomy

pytest.importorskip("itk", reason="MetaImage, NRRD and DICOM need itk")


def assert_shows(volume: RawVolume, shown: Anatomy, at_most_off_mm: float = 0.01) -> None:
    """Every voxel of the volume, taken by its place in RAS mm, has the HU (and label) that the anatomy has there."""
    index = np.indices(volume.hu.shape).reshape(3, -1)
    world = volume.affine_ras[:3, :3] @ index + volume.affine_ras[:3, 3:]
    to_voxel = np.linalg.inv(shown.affine_ras)
    place = to_voxel[:3, :3] @ world + to_voxel[:3, 3:]
    nearest = np.rint(place).astype(int)
    spacing = np.linalg.norm(shown.affine_ras[:3, :3], axis=0)[:, None]
    assert np.abs((place - nearest) * spacing).max() < at_most_off_mm
    assert volume.hu.size == shown.hu.size
    np.testing.assert_array_equal(volume.hu.reshape(-1), shown.hu[tuple(nearest)])
    if volume.label is not None:
        np.testing.assert_array_equal(volume.label.reshape(-1), shown.label[tuple(nearest)])


def case_of(path: Path, label: Path | None = None) -> RawCase:
    return RawCase("case", "case", RawFile(path), RawFile(label) if label else None)


def test_anatomy_tells_every_orientation():
    """No flip or permutation maps the anatomy to itself, or the tests here would prove nothing."""
    hu = anatomy(shape=(32, 32, 32)).hu
    for axes in ("LAS", "RPS", "RAI", "ARS", "RSA", "SAR", "LPI"):
        assert (reoriented(hu, np.eye(4), axes)[0] != hu).mean() > 0.2


@pytest.mark.parametrize("dataset", DATASETS)
def test_replica_is_found_and_read(tmp_path, dataset):
    source = make_replica(dataset, tmp_path, cases=6 if dataset == "folder" else 4)
    cases = find_cases(dataset, source)
    assert len(cases) == (6 if dataset == "folder" else 4)
    order = {"FL": 0, "FR": 1, "ML": 2, "MR": 3}
    for index, case in enumerate(cases):
        assert case.problem is None
        assert pickle.loads(pickle.dumps(case)) == case
        assert all(path.is_file() for path in source_files(case))
        volume = DATASETS[dataset].read(case, True)
        shown = replica_anatomy(dataset, order[case.name[:2]] if dataset == "knee" else index)
        assert_shows(volume, shown)
        assert volume.hu.dtype == np.int16
        assert volume.affine_ras.dtype == np.float64
        if DATASETS[dataset].centre == "label":
            assert volume.label.dtype == np.uint8
            assert volume.label.max() == 2


@pytest.mark.parametrize(
    ("dataset", "names", "patients"),
    [
        ("luna16", ["1.3.6.1.4.1.14519.5.2.1.6279.6001.100225287222365663678666836860"], None),
        ("toothfairy", ["P1", "P2"], ["P1", "P2"]),
        ("panorama", ["100000_00001", "100000_00002", "100001_00003"], ["100000", "100000", "100001"]),
        ("pengwin", ["001", "002"], ["001", "002"]),
        ("knee", ["FL_001", "FL_002", "FR_001", "ML_001", "MR_001"], ["F1", "F2", "F1", "M1", "M1"]),
        ("abdomenatlas", ["BDMAP_00000001"], ["BDMAP_00000001"]),
    ],
)
def test_names_and_patients(tmp_path, dataset, names, patients):
    cases = find_cases(dataset, make_replica(dataset, tmp_path, cases=len(names)))
    assert [case.name for case in cases] == names
    assert [case.patient for case in cases] == (patients or names)


def test_published_facts():
    """Counts of the paper's splits, presets that exist, and shares that are whole."""
    counts = {name: tuple(each.counts.values()) for name, each in DATASETS.items() if each.counts}
    assert counts == {
        "luna16": (738, 50, 100),
        "toothfairy": (343, 25, 75),
        "panorama": (1244, 200, 600),
        "pengwin": (60, 10, 30),
        "knee": (464, 50, 100),
    }
    for dataset in DATASETS.values():
        assert dataset.preset in preset_names()
        assert list(dataset.counts or dataset.fractions) == ["training", "validation", "test"]
        assert dataset.counts or sum(dataset.fractions.values()) == pytest.approx(1)
    assert [name for name, each in DATASETS.items() if each.centre == "label"] == ["panorama", "pengwin"]
    assert {name: each.axial_window_mm for name, each in DATASETS.items() if each.axial_window_mm} == {
        "abdomenatlas": 384.0
    }


@pytest.mark.parametrize("axes", ["LPS", "RAS", "RPI", "SAL", "PSR"])
@pytest.mark.parametrize("kind", ["nii", "nii.gz", "mha", "mhd", "zraw", "nrrd", "nhdr"])
@pytest.mark.parametrize("turned", [False, True])
def test_every_format_and_orientation(tmp_path, kind, axes, turned):
    shown = anatomy(1, shape=(12, 10, 9), voxel_mm=(28.0, 30.5, 33.0))
    if turned:
        shown = Anatomy(shown.hu, oblique(shown.affine_ras), shown.label)
    hu, affine = reoriented(shown.hu, shown.affine_ras, axes)
    path = tmp_path / f"case.{'mhd' if kind == 'zraw' else kind}"
    if kind.startswith("nii"):
        write_nifti(path, hu, affine)
    elif kind in ("nrrd", "nhdr"):
        write_nrrd(path, hu, affine)
    else:
        write_metaimage(path, hu, affine, compressed=kind == "zraw")
    assert_shows(read_case(case_of(path)), shown)


@pytest.mark.parametrize(
    ("slope", "intercept", "dtype"), [(1.0, -1024.0, np.int16), (0.5, 100.0, np.int16), (0.25, -7.5, np.int16)]
)
def test_nifti_scaling_is_applied(tmp_path, slope, intercept, dtype):
    shown = anatomy()
    hu = np.round(shown.hu / 2).astype(np.int16) if slope < 0.5 else shown.hu
    write_nifti(tmp_path / "case.nii.gz", hu, shown.affine_ras, slope=slope, intercept=intercept)
    values, _ = read_image(RawFile(tmp_path / "case.nii.gz"))
    np.testing.assert_array_equal(values, hu)
    assert values.dtype == dtype


def test_fractions_of_hu_are_kept(tmp_path):
    """Values that int16 cannot hold are float32, from the first slice that has one."""
    shown = anatomy()
    hu = shown.hu.astype(np.float32)
    hu[3, 4, 20] += 0.25
    write_nifti(tmp_path / "case.nii.gz", hu, shown.affine_ras)
    write_metaimage(tmp_path / "case.mha", hu, shown.affine_ras)
    for name in ("case.nii.gz", "case.mha"):
        volume = read_case(case_of(tmp_path / name))
        assert volume.hu.dtype == np.float32
        assert_shows(volume, Anatomy(hu, shown.affine_ras, shown.label))


def test_toothfairy_axes(tmp_path):
    """[D, H, W] run towards the head, from front to back and from the patient's right to left, 0.3 mm each."""
    array = np.full((8, 12, 20), -1000, np.int16)
    array[:, 2:9, 3:15] = 0
    array[6, 3, 14] = 1500
    (tmp_path / "P7").mkdir()
    np.save(tmp_path / "P7" / "data.npy", array)
    volume = DATASETS["toothfairy"].read(find_cases("toothfairy", tmp_path)[0], True)
    corner = volume.affine_ras[:3, 3]
    found = (volume.affine_ras @ [*np.unravel_index(volume.hu.argmax(), volume.hu.shape), 1])[:3]
    np.testing.assert_allclose(found - corner, [-14 * 0.3, -3 * 0.3, 6 * 0.3])


def test_knee_metres(tmp_path):
    """Spacing and offset in metres are read as millimetres; in millimetres they are refused."""
    shown = replica_anatomy("knee", 0)
    write_metaimage(tmp_path / "FL_01.mhd", shown.hu, shown.affine_ras, unit_mm=1000.0)
    write_metaimage(tmp_path / "FL_02.mhd", shown.hu, shown.affine_ras)
    metres, millimetres = find_cases("knee", tmp_path)
    np.testing.assert_allclose(DATASETS["knee"].read(metres, True).affine_ras, shown.affine_ras, atol=1e-9)
    with pytest.raises(InputError, match=r"FL_02.*another unit"):
        DATASETS["knee"].read(millimetres, True)
    with pytest.raises(InputError, match="another unit"):
        read_image(metres.image)


@pytest.mark.parametrize("fault", ["shape", "place", "spacing", "fractions", "negative"])
def test_label_must_fit_its_image(tmp_path, fault):
    shown = anatomy()
    label, affine, message = shown.label, shown.affine_ras.copy(), "another position"
    if fault == "shape":
        label, message = label[:-1], r"39, 36, 32.*40, 36, 32"
    elif fault == "place":
        affine[0, 3] += 2.0
    elif fault == "spacing":
        affine[2, 2] *= 1.01
    else:
        label, message = label.astype(np.float32) + (0.5 if fault == "fractions" else -1), "whole numbers"
    write_nifti(tmp_path / "ct.nii.gz", shown.hu, shown.affine_ras)
    write_nifti(tmp_path / "label.nii.gz", label, affine)
    with pytest.raises(InputError, match=rf"label.*{message}"):
        read_case(case_of(tmp_path / "ct.nii.gz", tmp_path / "label.nii.gz"))


def test_label_of_another_type_on_almost_the_same_grid(tmp_path):
    """Labels are often saved as floats and with rounded headers."""
    shown = anatomy()
    affine = shown.affine_ras.copy()
    affine[:3, 3] += 0.003
    large = shown.label.astype(np.float32) * 50000
    write_nifti(tmp_path / "ct.nii.gz", shown.hu, shown.affine_ras)
    write_nifti(tmp_path / "label.nii.gz", large, affine)
    label = read_case(case_of(tmp_path / "ct.nii.gz", tmp_path / "label.nii.gz")).label
    assert label.dtype == np.int32
    np.testing.assert_array_equal(label, large)


@pytest.mark.parametrize("stored", ["int8", "uint8", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("suffix", ["mha", "nrrd", "nii.gz"])
def test_labels_of_every_type(tmp_path, stored, suffix):
    shown = anatomy()
    write = {"mha": write_metaimage, "nrrd": write_nrrd, "nii.gz": write_nifti}[suffix]
    write_nifti(tmp_path / "ct.nii.gz", shown.hu, shown.affine_ras)
    write(tmp_path / f"label.{suffix}", shown.label.astype(stored), shown.affine_ras)
    label = read_case(case_of(tmp_path / "ct.nii.gz", tmp_path / f"label.{suffix}")).label
    assert label.dtype == np.uint8
    np.testing.assert_array_equal(label, shown.label)


def test_not_hu_is_refused_unless_told_otherwise(tmp_path):
    shown = anatomy()
    unit = (np.clip(shown.hu, -1000, 1000) + 1000).astype(np.float32) / 2000
    write_nifti(tmp_path / "case.nii.gz", unit, shown.affine_ras)
    with pytest.raises(InputError, match="not HU"):
        read_case(case_of(tmp_path / "case.nii.gz"))
    assert read_case(case_of(tmp_path / "case.nii.gz"), check_hu=False).hu.max() == unit.max()


def test_not_finite_is_refused_even_without_hu(tmp_path):
    shown = anatomy()
    hu = shown.hu.astype(np.float32)
    hu[1, 2, 3] = np.nan
    write_nifti(tmp_path / "case.nii.gz", hu, shown.affine_ras)
    with pytest.raises(InputError, match="1 NaN"):
        read_case(case_of(tmp_path / "case.nii.gz"), check_hu=False)


def test_nothing_is_written_into_the_source(tmp_path):
    """Archives are read through a folder elsewhere that is gone afterwards."""
    source = make_replica("pengwin", tmp_path)
    before = {path: path.stat().st_mtime_ns for path in source.rglob("*")}
    for case in find_cases("pengwin", source):
        DATASETS["pengwin"].read(case, True)
    assert {path: path.stat().st_mtime_ns for path in source.rglob("*")} == before


def test_case_with_a_problem_is_not_read(tmp_path):
    problem = InputError("here", "is wrong.", "Mend it.")
    for dataset in DATASETS.values():
        with pytest.raises(InputError, match="here: is wrong"):
            dataset.read(RawCase("a", "a", RawFile(tmp_path), problem=problem), True)


def test_patient_of_dicom_is_a_digest(tmp_path):
    shown = anatomy(shape=(12, 10, 9), voxel_mm=(28.0, 30.5, 33.0))
    for name, patient in (("left", "doe^jane"), ("right", "doe^jane"), ("third", "")):
        write_dicom(tmp_path / name, shown.hu, shown.affine_ras, patient=patient)
    cases = find_cases("folder", tmp_path)
    assert [case.name for case in cases] == ["left", "right", "third"]
    assert [case.patient for case in cases] == ["8eb8747ae1bc58cd", "8eb8747ae1bc58cd", "third"]

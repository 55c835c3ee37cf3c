"""Volumes written as DICOM CT series, read back by ITK and judged by dciodvfy."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest

from bundle.data.ct_formats import LPS_TO_RAS
from bundle.data.ct_volume import read_ct
from bundle.data.dicom_output import write_dicom_series
from bundle.data.volume_output import VolumeOutput
from bundle.errors import InputError

SHAPE = (7, 6, 5)


def oblique(mirrored: bool = False) -> np.ndarray:
    """RAS affine of a rotated grid with another spacing along each axis."""
    a, b = 0.3, -0.2
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    tilt = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ tilt @ np.diag([2.5, 3.0, -4.25 if mirrored else 4.25])
    affine[:3, 3] = (-31.25, 17.5, 250.0)
    return affine


def volume() -> np.ndarray:
    """No two voxels alike."""
    return np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE) * 7.0 - 1000.0


def values_in_place(image, affine: np.ndarray) -> np.ndarray:
    """What an image, however its axes lie, holds at the places of a grid's voxels."""
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1).reshape(-1, 3)
    places = index @ affine[:3, :3].T + affine[:3, 3]
    own = np.linalg.inv(np.asarray(image.affine))
    found = places @ own[:3, :3].T + own[:3, 3]
    np.testing.assert_allclose(found, np.rint(found), atol=1e-3)
    return image.numpy()[0][tuple(np.rint(found).astype(int).T)].reshape(SHAPE)


def write(folder: Path, **options) -> list[pydicom.Dataset]:
    write_dicom_series(volume(), oblique(), folder, "sart", **options)
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


@pytest.mark.parametrize("mirrored", [False, True])
def test_values_stay_in_their_places(tmp_path, mirrored):
    write_dicom_series(volume() + 0.3, oblique(mirrored), tmp_path / "series", "sart")
    image = read_ct(tmp_path / "series")
    np.testing.assert_array_equal(values_in_place(image, oblique(mirrored)), volume())


def test_what_the_headers_say(tmp_path):
    slices = write(tmp_path / "series")
    assert [int(each.InstanceNumber) for each in slices] == [1, 2, 3, 4, 5]
    assert len({each.SOPInstanceUID for each in slices}) == 5
    assert all(each.file_meta.MediaStorageSOPInstanceUID == each.SOPInstanceUID for each in slices)
    assert len({(each.SeriesInstanceUID, each.StudyInstanceUID, each.FrameOfReferenceUID) for each in slices}) == 1
    first = slices[0]
    assert "not for diagnostic use" in first.SeriesDescription
    assert first.ImageType[:2] == ["DERIVED", "SECONDARY"]
    assert (first.RescaleSlope, first.RescaleIntercept, first.RescaleType) == (1, 0, "HU")
    assert (first.Rows, first.Columns) == (6, 7)
    assert [float(size) for size in first.PixelSpacing] == pytest.approx([3.0, 2.5])
    assert float(first.SliceThickness) == pytest.approx(4.25)
    corner = LPS_TO_RAS @ oblique() @ [0, 0, 0, 1]
    np.testing.assert_allclose([float(x) for x in first.ImagePositionPatient], corner[:3], atol=1e-6)
    assert "sart" in first.DerivationDescription


def test_identifiers_follow_from_the_contents(tmp_path):
    once, again = write(tmp_path / "a")[0], write(tmp_path / "b")[0]
    assert once.SOPInstanceUID == again.SOPInstanceUID
    write_dicom_series(volume() + 1, oblique(), tmp_path / "c", "sart")
    other = pydicom.dcmread(tmp_path / "c" / "0001.dcm")
    assert other.SOPInstanceUID != once.SOPInstanceUID
    assert other.SeriesInstanceUID != once.SeriesInstanceUID


def test_joins_the_study_of_a_series(tmp_path):
    first = write(tmp_path / "ct")[0]
    for path in (tmp_path / "ct").iterdir():
        image = pydicom.dcmread(path)
        image.PatientName, image.PatientID, image.PatientPosition = "Müller^Ärzte", "17", "HFS"
        image.save_as(path)
    joined = write(tmp_path / "derived", patient_from=tmp_path / "ct")[0]
    assert (str(joined.PatientName), joined.PatientID, joined.PatientPosition) == ("Müller^Ärzte", "17", "HFS")
    assert joined.StudyInstanceUID == first.StudyInstanceUID
    assert joined.FrameOfReferenceUID == first.FrameOfReferenceUID
    assert joined.SeriesInstanceUID != first.SeriesInstanceUID


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy (Debian: apt-get install dicom3tools)")
def test_dciodvfy_finds_no_error(tmp_path):
    write(tmp_path / "series")
    for path in (tmp_path / "series").iterdir():
        done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True)
        said = done.stdout + done.stderr
        assert "CTImage" in said
        assert "Error" not in said, said


def test_refusals(tmp_path):
    sheared = oblique()
    sheared[0, 1] += 1.0
    with pytest.raises(InputError, match="right angles"):
        write_dicom_series(volume(), sheared, tmp_path / "series", "sart")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no DICOM series"):
        write(tmp_path / "series", patient_from=tmp_path / "empty")
    assert not (tmp_path / "series").exists()
    assert not list(tmp_path.glob(".partial*"))


def test_only_a_folder_of_dicom_files_is_replaced(tmp_path):
    folder = tmp_path / "series"
    write(folder)
    with pytest.raises(InputError, match="exists already"):
        VolumeOutput(folder, "dicom").check()
    with pytest.raises(InputError, match="exists"):
        VolumeOutput(folder, "dicom", overwrite="false").check()
    target = VolumeOutput(folder, "dicom", overwrite=True)
    target.check()
    target.write(volume()[:, :, :3], oblique(), "fdk")
    assert len(list(folder.iterdir())) == 3
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is no folder of DICOM files alone"):
        target.check()
    for name, pattern in (("a.nii.gz", "is the name of a file"), ("a.dcm", "is the name of a file")):
        with pytest.raises(InputError, match=pattern):
            VolumeOutput(tmp_path / name, "dicom").check()
    with pytest.raises(InputError, match="output_format: is 'tiff'"):
        VolumeOutput(tmp_path / "a", "tiff").check()

"""Series of DICOM slices: order, place, intensities, and everything that makes a folder no series."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from bundle.data.dicom_series import dicom_files, read_dicom_series
from bundle.datasets.raw_case import RawVolume
from bundle.errors import InputError
from tests.datasets.formats import edit_dicom, oblique, reoriented, write_dicom
from tests.datasets.replicas import Anatomy, anatomy
from tests.datasets.test_reading import assert_shows

pytest.importorskip("itk", reason="DICOM needs itk")
pytest.importorskip("pydicom", reason="DICOM needs pydicom")

STEP_MM = 33.0


@pytest.fixture
def shown() -> Anatomy:
    return anatomy(2, shape=(12, 10, 9), voxel_mm=(28.0, 30.5, STEP_MM))


@pytest.fixture
def files(tmp_path: Path, shown: Anatomy) -> list[Path]:
    """A good axial series in tmp_path/case, by slice."""
    return write_dicom(tmp_path / "case", *reoriented(shown.hu, shown.affine_ras, "LPS"))


def read(folder: Path) -> RawVolume:
    return RawVolume(*read_dicom_series(folder))


@pytest.mark.parametrize("axes", ["LPS", "LPI", "RPS", "LSA", "PSR", "SAL"])
@pytest.mark.parametrize("turned", [False, True])
def test_order_and_place(tmp_path, shown, axes, turned):
    """Slices along any axis, in either order, at any angle, in files whose names say nothing."""
    if turned:
        shown = Anatomy(shown.hu, oblique(shown.affine_ras), shown.label)
    stored, affine = reoriented(shown.hu, shown.affine_ras, axes)
    files = write_dicom(tmp_path / "case", stored, affine)
    assert sorted(files) != files
    assert_shows(read(tmp_path / "case"), shown)


def test_rescaling_of_every_slice(tmp_path, shown):
    """Slope and intercept differ from slice to slice, as in PET/CT exports."""
    hu = (shown.hu // 4 * 4).astype(np.int16)
    write_dicom(tmp_path / "case", hu, shown.affine_ras, slopes=(1.0, 0.5, 2.0, 0.25), intercepts=(-1024.0, 100.0, 0.0))
    volume = read(tmp_path / "case")
    assert volume.hu.dtype == np.int16
    assert_shows(volume, Anatomy(hu, shown.affine_ras, shown.label))


def test_fractional_slope(tmp_path, shown):
    write_dicom(tmp_path / "case", shown.hu, shown.affine_ras, slopes=(1.0,) * 8 + (0.7,))
    volume = read(tmp_path / "case")
    stored = np.rint((shown.hu[..., 8].astype(float) + 1024) / 0.7)
    np.testing.assert_allclose(volume.hu[..., 8], stored * 0.7 - 1024, atol=1e-3)
    np.testing.assert_array_equal(volume.hu[..., :8], shown.hu[..., :8])
    assert volume.hu.dtype == np.float32


def test_files_without_suffix_and_others_beside_them(tmp_path, shown):
    files = write_dicom(tmp_path / "case", shown.hu, shown.affine_ras, suffix="")
    (tmp_path / "case" / "notes.txt").write_text("not a slice")
    edit_dicom(files[0], saved_as=tmp_path / "case" / "DICOMDIR")
    assert dicom_files(tmp_path / "case") == sorted(files)
    assert_shows(read(tmp_path / "case"), shown)


def test_identical_copies_are_dropped(tmp_path, files, shown, caplog):
    for k in (0, 4, 8):
        edit_dicom(files[k], saved_as=tmp_path / "case" / f"copy{k}.dcm", SOPInstanceUID=f"1.2.3.{k}")
    with caplog.at_level(logging.WARNING):
        assert_shows(read(tmp_path / "case"), shown)
    assert "3 identical copies" in caplog.text


def test_different_slices_at_one_position(tmp_path, files):
    other = np.full((10, 12), 7, "<i2")
    edit_dicom(files[3], saved_as=tmp_path / "case" / "other.dcm", PixelData=other.tobytes())
    with pytest.raises(InputError, match=r"different slices at 142\.00 mm.*other\.dcm"):
        read(tmp_path / "case")


@pytest.mark.parametrize("missing", [(4,), (1,), (3, 4), (6, 2)])
def test_missing_slice_is_named_by_its_place(tmp_path, files, shown, missing):
    for k in missing:
        files[k].unlink()
    place = shown.affine_ras[2, 3] + STEP_MM * min(missing)
    with pytest.raises(InputError, match=rf"case: lacks a slice at {place:.2f} mm .*33 mm apart"):
        read(tmp_path / "case")


def test_additional_slice(tmp_path, files):
    import pydicom

    x, y, z = pydicom.dcmread(files[3]).ImagePositionPatient
    edit_dicom(files[3], saved_as=tmp_path / "case" / "between.dcm", ImagePositionPatient=[x, y, z + 10])
    with pytest.raises(InputError, match=r"additional slice at 152\.00 mm"):
        read(tmp_path / "case")


def test_positions_may_be_rounded(tmp_path, files, shown):
    import pydicom

    for k, path in enumerate(files[1:-1]):
        x, y, z = pydicom.dcmread(path).ImagePositionPatient
        edit_dicom(path, ImagePositionPatient=[x, y, f"{float(z) + (-1) ** k * 0.004:.4f}"])
    assert_shows(read(tmp_path / "case"), shown, at_most_off_mm=0.02)


def test_tilted_gantry(tmp_path, files, shown):
    """Positions that shift evenly from slice to slice shear the grid, which the affine tells."""
    import pydicom

    for k, path in enumerate(files):
        x, y, z = pydicom.dcmread(path).ImagePositionPatient
        edit_dicom(path, ImagePositionPatient=[x, f"{float(y) + 5 * k:.6f}", z])
    sheared = shown.affine_ras.copy()
    sheared[1, 2] = -5.0
    volume = read(tmp_path / "case")
    assert_shows(volume, Anatomy(shown.hu, sheared, shown.label))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"SeriesInstanceUID": "1.2.3"}, r"2 DICOM series \(1\.2\.3, 1\.2\.826"),
        ({"Modality": "MR"}, "modality MR"),
        ({"Modality": ""}, "modality missing"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0.6, 0.8]}, "another orientation"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 2, 0]}, "has the orientation"),
        ({"PixelSpacing": [30.5, 28.1]}, "another pixel spacing"),
        ({"PixelSpacing": [0, 28]}, "pixel spacing 0, 28"),
        ({"PixelSpacing": None}, "lacks its pixel spacing"),
        ({"ImagePositionPatient": None}, "lacks its pixel spacing"),
        ({"Rows": 12, "Columns": 10}, "another size"),
        ({"NumberOfFrames": 2}, "several frames"),
        ({"ImagePositionPatient": [0, 0, 274]}, "shifted sideways"),
    ],
)
def test_what_is_no_series(tmp_path, files, change, message):
    edit_dicom(files[7], **change)
    with pytest.raises(InputError, match=message):
        read(tmp_path / "case")


def test_all_of_another_modality(tmp_path, shown):
    write_dicom(tmp_path / "case", shown.hu, shown.affine_ras, modality="MR")
    with pytest.raises(InputError, match="modality MR"):
        read(tmp_path / "case")


@pytest.mark.parametrize("left", [0.3, 0.9])
def test_truncated_slice(tmp_path, files, left):
    content = files[5].read_bytes()
    files[5].write_bytes(content[: int(len(content) * left)])
    with pytest.raises(InputError, match=files[5].name):
        read(tmp_path / "case")


def test_file_that_is_only_called_dicom(tmp_path, files):
    (tmp_path / "case" / "fake.dcm").write_text("hello")
    with pytest.raises(InputError, match=r"fake\.dcm"):
        read(tmp_path / "case")


def test_single_slice(tmp_path, files):
    for path in files[1:]:
        path.unlink()
    with pytest.raises(InputError, match="single slice"):
        read(tmp_path / "case")

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bundle.data.ct_formats import case_name
from bundle.data.ct_volume import read_ct, write_hu
from bundle.errors import InputError
from tests.conftest import write_nifti

itk = pytest.importorskip("itk", reason="MetaImage, NRRD and DICOM need itk")

VOXEL_MM = (8.0, 9.0, 10.0)


@pytest.fixture
def lps_image(phantom):
    """The phantom as an ITK image; ITK's world is LPS, so its axes are ours."""
    image = itk.image_from_array(np.ascontiguousarray((phantom * 2000 - 1000).astype(np.int16).transpose(2, 1, 0)))
    image.SetSpacing(VOXEL_MM)
    image.SetOrigin((-70.0, -65.0, -230.0))
    return image


def write_dicom(image, folder: Path, tilt_deg: float = 0.0) -> None:
    """One CT series, slice files named in reverse order; with a tilted gantry, slices stay one above the other."""
    import pydicom
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir()
    values = itk.array_from_image(image)
    series, study = generate_uid(), generate_uid()
    for k, plane in enumerate(values):
        d = pydicom.Dataset()
        d.file_meta = pydicom.dataset.FileMetaDataset()
        d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID = CTImageStorage
        d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID = generate_uid()
        d.Modality, d.PatientID, d.StudyInstanceUID, d.SeriesInstanceUID = "CT", "phantom", study, series
        d.Rows, d.Columns = plane.shape
        d.PixelSpacing, d.SliceThickness = [VOXEL_MM[1], VOXEL_MM[0]], VOXEL_MM[2]
        d.ImageOrientationPatient = [1, 0, 0, 0, np.cos(np.deg2rad(tilt_deg)), np.sin(np.deg2rad(tilt_deg))]
        d.ImagePositionPatient = [-70.0, -65.0, -230.0 + k * VOXEL_MM[2]]
        d.InstanceNumber = k + 1
        d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 16, 15, 0
        d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
        d.RescaleSlope, d.RescaleIntercept = 1, -1024
        d.PixelData = (plane.astype(np.int32) + 1024).astype(np.uint16).tobytes()
        d.save_as(folder / f"{len(values) - k:03d}.dcm", enforce_file_format=True)


@pytest.mark.parametrize("kind", ["nii", "nii.gz", "mha", "mhd", "nrrd", "dicom"])
def test_every_format_reads_alike(tmp_path, phantom, lps_image, kind):
    """Same values at the same place in the patient, from every format."""
    path = tmp_path / f"case.{kind}"
    if kind.startswith("nii"):
        write_nifti(path, phantom, VOXEL_MM, "LPS")
    elif kind == "dicom":
        write_dicom(lps_image, path)
    else:
        itk.imwrite(lps_image, str(path))
    image = read_ct(path)
    assert image.shape == (1, 20, 18, 16)
    # A marker's position in RAS millimetres does not depend on the file's axis order.
    index = np.unravel_index(int(np.argmax(image[0].numpy())), image.shape[1:])
    expected_index = np.unravel_index(int(np.argmax((phantom * 2000 - 1000).astype(np.int16))), phantom.shape)
    expected = np.array([70.0, 65.0, -230.0]) + np.array([-8.0, -9.0, 10.0]) * expected_index
    found = (np.asarray(image.affine) @ [*index, 1])[:3]
    np.testing.assert_allclose(found, expected, atol=0.01)
    assert float(image.max()) == pytest.approx(float((phantom * 2000 - 1000).max()), abs=1)


def test_written_volume_reads_back(tmp_path, phantom):
    affine = np.diag([-8.0, -9.0, 10.0, 1.0])
    affine[:3, 3] = (70, 65, -230)
    write_hu(phantom * 2000 - 1000, affine, tmp_path / "out.nii.gz")
    image = nib.load(tmp_path / "out.nii.gz")
    np.testing.assert_allclose(image.affine, affine)
    np.testing.assert_allclose(image.get_fdata(), phantom * 2000 - 1000, atol=0.51)
    assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (1, 1)


@pytest.mark.parametrize(("name", "expected"), [("a/b.c.nii.gz", "b.c"), ("x.MHA", "x"), ("dicom", "dicom")])
def test_case_name(name, expected):
    assert case_name(name) == expected


def save(path: Path, values: np.ndarray, affine=None, pixdim=None, codes=True) -> Path:
    image = nib.Nifti1Image(values, np.diag([2.0, 2, 2, 1]) if affine is None else affine)
    if not codes:
        image.set_sform(None, 0)
        image.set_qform(None, 0)
    if pixdim is not None:
        image.header.structarr["pixdim"][1:4] = pixdim
        image.set_sform(image.affine, code=1)
        image.header.structarr["pixdim"][1:4] = pixdim
    nib.save(image, path)
    return path


def ct(shape=(8, 8, 8)) -> np.ndarray:
    return np.linspace(-1000, 1000, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def with_value(value: float) -> np.ndarray:
    values = ct()
    values[3, 4, 5] = value
    return values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (with_value(np.nan), "1 NaN"),
        (with_value(np.inf), "1 NaN or infinite"),
        (ct((8, 8)), "not a 3D volume"),
        (ct((8, 8, 1)), "not a 3D volume"),
        (ct((4, 4, 4, 3)), "not a 3D volume"),
        ((ct() + 1000) / 2000, "not HU"),
        (ct() + 1024, "no air"),
        (ct() * 0 - 1000, "nothing but air"),
        (ct() * 100, "not HU"),
    ],
)
def test_bad_values_are_refused(tmp_path, values, message):
    path = save(tmp_path / "bad.nii.gz", values)
    with pytest.raises(InputError, match=message) as caught:
        read_ct(path)
    assert "bad.nii.gz" in str(caught.value)


def test_padding_is_not_mistaken(tmp_path):
    read_ct(save(tmp_path / "padded.nii.gz", with_value(-3024.0)))
    read_ct(save(tmp_path / "marked.nii.gz", with_value(-32768.0)))


def test_check_of_units_can_be_switched_off(tmp_path):
    assert read_ct(save(tmp_path / "unit.nii.gz", (ct() + 1000) / 2000), check_hu=False).shape == (1, 8, 8, 8)


@pytest.mark.parametrize("pixdim", [(0, 2, 2), (2, -2, 2), (2, 2, np.nan)])
def test_bad_spacing_is_refused(tmp_path, pixdim):
    with pytest.raises(InputError, match="spacing"):
        read_ct(save(tmp_path / "bad.nii.gz", ct(), pixdim=pixdim))


def test_missing_orientation_is_refused(tmp_path):
    with pytest.raises(InputError, match="orientation"):
        read_ct(save(tmp_path / "bad.nii.gz", ct(), codes=False))


@pytest.mark.parametrize("suffix", ["mha", "nrrd"])
@pytest.mark.parametrize("change", ["missing", "zero"])
def test_bad_spacing_of_itk_formats(tmp_path, lps_image, suffix, change):
    good, bad = tmp_path / f"good.{suffix}", tmp_path / f"bad.{suffix}"
    itk.imwrite(lps_image, str(good))
    content = good.read_bytes()
    if suffix == "mha":
        line = next(part for part in content.split(b"\n") if part.startswith(b"ElementSpacing"))
        content = content.replace(line + b"\n", b"" if change == "missing" else b"ElementSpacing = 0 1 1\n")
    else:
        line = next(part for part in content.split(b"\n") if part.startswith(b"space directions"))
        content = content.replace(line + b"\n", b"" if change == "missing" else b"spacings: 0 1 1\n")
    bad.write_bytes(content)
    with pytest.raises(InputError, match="spacing"):
        read_ct(bad)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.nii.gz", None, "does not exist"),
        ("empty.nii.gz", b"", "is empty"),
        ("garbage.nii.gz", b"not an image at all", "cannot be read"),
        ("garbage.mha", b"ElementSpacing = 1 1 1\nElementDataFile = LOCAL\n", "element type missing"),
        (
            "lost.mha",
            b"ElementSpacing = 1 1 1\nElementType = MET_SHORT\nDimSize = 2 2 2\nElementDataFile = ../x.raw\n",
            "outside its folder",
        ),
        ("report.pdf", b"%PDF", "unknown suffix"),
    ],
)
def test_unreadable_files(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_ct(path)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("a.mha", "elementdatafile = ok.raw\nElementDataFile = ../secret.raw\n"),
        ("a.mha", "ElementDataFile : ../secret.raw\nElementDataFile = ok.raw\n"),
        ("a.mha", "DimSize = 1 1 1\nElementDataFile = ok.raw\n"),
        ("a.mha", "CompressedData = True\ncompresseddata = False\nElementDataFile = ok.raw\n"),
        ("a.nhdr", "data file: ok.raw\ndatafile: ../secret.raw\n"),
        ("a.nrrd", "datafile: ../secret.raw\ndata file: ok.raw\n"),
    ],
)
def test_headers_that_can_be_read_in_two_ways_are_refused(tmp_path, name, fields):
    meta = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementSpacing = 9 9 9\nElementType = MET_SHORT\n"
    nrrd = "NRRD0004\n# a: note\n# a: note\ntype: short\ndimension: 3\nsizes: 2 2 2\nspacings: 9 9 9\nencoding: raw\n"
    folder = tmp_path / "in"
    folder.mkdir()
    for raw in (folder / "ok.raw", tmp_path / "secret.raw"):
        raw.write_bytes(bytes(16))
    (folder / name).write_text((meta if name.endswith("mha") else nrrd) + fields + "\n")
    with pytest.raises(InputError, match="is ambiguous where it says"):
        read_ct(folder / name)


def test_notes_of_nrrd_name_no_files(tmp_path):
    header = "NRRD0004\ntype: short\ndimension: 3\nsizes: 2 2 2\nspacings: 9 9 9\nencoding: raw\n"
    (tmp_path / "a.nhdr").write_text(header + "data file:=ok.raw\ndata file: ../x.raw\n\n")
    (tmp_path / "ok.raw").write_bytes(bytes(16))
    with pytest.raises(InputError, match="outside its folder"):
        read_ct(tmp_path / "a.nhdr")


def test_truncated_file(tmp_path):
    path = save(tmp_path / "cut.nii.gz", np.random.RandomState(0).normal(0, 500, (30, 30, 30)).astype(np.float32))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match="cannot be read"):
        read_ct(path)


def test_damaged_compressed_file(tmp_path, lps_image):
    """ITK gives arbitrary voxels for one and says nothing."""
    path = tmp_path / "ct.mha"
    itk.imwrite(lps_image, str(path), compression=True)
    assert read_ct(path).shape == (1, 20, 18, 16)
    content = bytearray(path.read_bytes())
    content[-200] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"ct.mha: is damaged .*Copy or download it again"):
        read_ct(path)


def test_dicom_folders(tmp_path, lps_image):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty folder"):
        read_ct(tmp_path / "empty")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "readme.txt").write_text("no slices here")
    with pytest.raises(InputError, match="no DICOM slices"):
        read_ct(tmp_path / "text")
    write_dicom(lps_image, tmp_path / "one")
    write_dicom(lps_image, tmp_path / "two")
    for path in (tmp_path / "two").iterdir():
        path.rename(tmp_path / "one" / f"second_{path.name}")
    with pytest.raises(InputError, match="2 DICOM series"):
        read_ct(tmp_path / "one")


def test_a_missing_slice_is_refused(tmp_path, lps_image):
    """Not read as if the others were farther apart."""
    write_dicom(lps_image, tmp_path / "series")
    (tmp_path / "series" / "007.dcm").unlink()
    with pytest.raises(InputError, match=r"lacks a slice at -?\d"):
        read_ct(tmp_path / "series")


def test_tilted_gantry(tmp_path, lps_image):
    """Slices stand one above the other along z, not along their normal."""
    write_dicom(lps_image, tmp_path / "series", tilt_deg=20)
    image = read_ct(tmp_path / "series")
    affine = np.asarray(image.affine)
    np.testing.assert_allclose(affine[:3, 2], [0, 0, VOXEL_MM[2]], atol=1e-6)
    tilt = np.deg2rad(20)
    np.testing.assert_allclose(affine[:3, 1], VOXEL_MM[1] * np.array([0, -np.cos(tilt), np.sin(tilt)]), atol=1e-6)
    np.testing.assert_allclose(affine[:3, 3], [70.0, 65.0, -230.0], atol=1e-6)
    np.testing.assert_array_equal(image[0].numpy(), itk.array_from_image(lps_image).transpose(2, 1, 0))


def test_output_must_be_nifti(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        write_hu(ct(), np.eye(4), tmp_path / "out.mha")


def test_metres_are_refused(tmp_path):
    with pytest.raises(InputError, match="another unit"):
        read_ct(save(tmp_path / "knee.nii.gz", ct(), affine=np.diag([0.0008, 0.0008, 0.0008, 1])))

"""One CT in every format lies at one place, to the end; what contradicts itself is refused."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bundle.commands import reconstruct, simulate
from bundle.data.ct_volume import read_ct
from bundle.data.projection_file import read_projections
from bundle.data.volume_reader import read_image
from bundle.errors import InputError
from tests.datasets.formats import reoriented, write_dicom, write_metaimage, write_nifti, write_nrrd

pytest.importorskip("itk", reason="MetaImage, NRRD and DICOM need itk")
pydicom = pytest.importorskip("pydicom", reason="DICOM needs pydicom")

AFFINE = np.array([[-21.0, 0, 0, 90], [0, -19.0, 0, 260], [0, 0, 17.0, -340], [0, 0, 0, 1.0]])
"""Off centre, anisotropic; narrower than the field along x, longer along z."""
FORMATS = ("nii", "nii.gz", "mha", "ctz.mha", "nrrd", "ctz.nrrd", "dicom")


def body() -> np.ndarray:
    """[x, y, z] HU without any symmetry."""
    values = np.full((12, 24, 36), -1000, np.int16)
    values[2:10, 4:20, 3:33] = 40
    values[3:5, 6:9, 20:30] = 700
    values[7:9, 12:18, 5:12] = -800
    return values


def write(path: Path, axes: str = "LPS") -> Path:
    """Writes the body in the format that the name tells."""
    hu, affine = reoriented(body(), AFFINE, axes)
    if path.name.startswith("dicom"):
        write_dicom(path, hu, affine)
    elif path.name.endswith((".nii", ".nii.gz")):
        write_nifti(path, hu, affine)
    elif path.suffix == ".mha":
        write_metaimage(path, hu, affine, compressed=path.name.startswith("ctz"))
    else:
        write_nrrd(path, hu, affine, compressed=path.name.startswith("ctz"))
    return path


def named(kind: str) -> str:
    return kind if "." in kind and not kind.startswith("nii") else "dicom" if kind == "dicom" else f"ct.{kind}"


@pytest.mark.parametrize("axes", ["LPS", "RAI", "SAR", "PIR"])
def test_every_format_lies_at_one_place_through_every_step(tmp_path, axes):
    """The scan knows it to 0.1 mm; so does the volume that is reconstructed of it, which shows the body there."""
    expected, seen = None, {}
    for kind in FORMATS:
        source = write(tmp_path / axes / kind / named(kind), axes)
        scan, volume = (source.parent.parent / f"{kind}{end}" for end in (".npz", ".nii.gz"))
        simulate(str(source), str(scan), num_views=10, volume_shape=[24, 24, 24], detector_shape=[24, 24])
        place = read_projections(scan).world_to_patient
        expected = place if expected is None else expected
        np.testing.assert_allclose(place, expected, atol=0.1)
        reconstruct(str(scan), str(volume), method="sart")
        image = nib.load(volume)
        seen[kind] = (image.affine, np.asarray(image.dataobj))
    affine, values = seen["nii"]
    for other_affine, other in seen.values():
        np.testing.assert_allclose(other_affine, affine, atol=0.1)
        np.testing.assert_allclose(other, values, atol=2)
    dense = AFFINE @ [3.5, 7.0, 24.5, 1.0]
    gas = AFFINE @ [7.5, 14.5, 8.0, 1.0]
    at = [values[tuple(np.rint(np.linalg.solve(affine, mm)[:3]).astype(int))] for mm in (dense, gas)]
    assert at[0] > 200 > -300 > at[1]


def test_the_sform_is_believed_where_pixdim_is_rounded(tmp_path):
    path = write(tmp_path / "ct.nii")
    image = nib.load(path)
    precise = image.affine.copy()
    precise[0, 0] = -21.0125
    changed = nib.Nifti1Image(np.asarray(image.dataobj), precise, image.header)
    changed.set_sform(precise, code=1)
    changed.set_qform(None, code=0)
    changed.header["pixdim"][1] = 21.01
    nib.save(changed, tmp_path / "rounded.nii")
    content = bytearray((tmp_path / "rounded.nii").read_bytes())
    content[80:84] = np.float32(21.01).tobytes()  # nibabel writes the sides of the affine
    (tmp_path / "rounded.nii").write_bytes(content)
    for found in (np.asarray(read_ct(tmp_path / "rounded.nii").affine), read_image(tmp_path / "rounded.nii")[1]):
        np.testing.assert_allclose(found, precise, atol=1e-4)


@pytest.mark.parametrize("name", ["ct.nii.gz", "ctz.nrrd", "ctz.mha"])
def test_a_flipped_bit_of_compressed_voxels_is_found(tmp_path, name):
    """Wherever it is, what is read is either refused or what was written."""
    sound = write(tmp_path / name)
    content, expected = sound.read_bytes(), read_image(sound)[0]
    refused = 0
    rng = np.random.default_rng(7)
    start = 10 if name.endswith(".gz") else content.index(b"\n\n" if name.endswith("nrrd") else b"LOCAL\n") + 2
    for place in rng.integers(start, len(content), 25):
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        sound.write_bytes(damaged)
        try:
            values = read_image(sound)[0]
        except InputError:
            refused += 1
        else:
            np.testing.assert_array_equal(values, expected)
    assert refused > 15


def test_more_voxels_than_announced_are_not_unpacked(tmp_path):
    path = write(tmp_path / "ct.nii.gz")
    with gzip.open(path, "ab") as file:
        file.write(bytes(1000))
    with pytest.raises(InputError, match="holds more voxels than its header announces"):
        read_image(path)


def test_what_the_memory_cannot_hold_is_refused_by_its_header(tmp_path):
    path = write(tmp_path / "ct.nii.gz")
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[42:48] = np.array([20000, 20000, 20000], "<i2").tobytes()
    path.write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(InputError, match=r"20000 x 20000 x 20000 voxels, which take 3.2e\+04 GB, and .* GB of memory"):
        read_image(path)


def test_slices_without_a_preamble_belong_to_the_series(tmp_path):
    """Files that begin with their first tag, as some archives write them."""
    folder = write(tmp_path / "dicom")
    files = sorted(folder.iterdir())
    for file in files[:5]:
        dataset = pydicom.dcmread(file)
        bare = file.with_suffix("")
        pydicom.dcmwrite(bare, dataset, enforce_file_format=False)
        content = bare.read_bytes()
        bare.write_bytes(content[132:] if content[128:132] == b"DICM" else content)
        file.unlink()
    values, affine = read_image(folder)
    expected, place = read_image(write(tmp_path / "ct.nii"))
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_allclose(affine, place, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"PatientID": "other"}, "2 values of PatientID"),
        ({"FrameOfReferenceUID": "1.2.3"}, "2 values of FrameOfReferenceUID"),
        ({"RescaleSlope": "0"}, "has the RescaleSlope 0"),
        ({"RescaleType": "US"}, "has the RescaleType US"),
        ({"SamplesPerPixel": 3}, "has the SamplesPerPixel 3"),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "has the PhotometricInterpretation MONOCHROME1"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "is a localizer"),
        ({"PixelData": bytes(100)}, "holds 100 bytes of pixels where Rows, Columns and BitsAllocated announce 576"),
    ],
)
def test_a_slice_that_contradicts_its_series_is_named(tmp_path, changes, message):
    folder = write(tmp_path / "dicom")
    file = sorted(folder.iterdir())[9]
    dataset = pydicom.dcmread(file)
    for name, value in changes.items():
        setattr(dataset, name, value)
    dataset.save_as(file)
    with pytest.raises(InputError, match=re.escape(message)):
        read_image(folder)


def test_swapped_bytes_and_noise_are_no_ct(tmp_path):
    rng = np.random.default_rng(2)
    rough = rng.uniform(-1000, 600, (24, 20, 22)).astype(np.int16)
    swapped = (body() + 30 * rng.standard_normal((12, 24, 36))).astype(np.int16).byteswap()
    for values, message in ((swapped, "below -1200 or above 4000"), (rough, "nothing to do with each other")):
        write_nifti(tmp_path / "ct.nii", values, AFFINE)
        with pytest.raises(InputError, match=message):
            read_ct(tmp_path / "ct.nii")
        read_ct(tmp_path / "ct.nii", check_hu=False)
    padded = np.where(np.indices((12, 24, 36))[0] < 3, -3024, body()).astype(np.int16)
    padded[6, 8, 10:14] = 20000  # metal
    write_nifti(tmp_path / "ct.nii", padded, AFFINE)
    read_ct(tmp_path / "ct.nii")

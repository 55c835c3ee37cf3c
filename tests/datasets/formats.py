"""Writers of CT formats that know nothing of the readers they test, with the formats' oddities as arguments."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_META_TYPES = {
    "int8": "MET_CHAR",
    "uint8": "MET_UCHAR",
    "int16": "MET_SHORT",
    "uint16": "MET_USHORT",
    "int32": "MET_INT",
    "int64": "MET_LONG_LONG",
    "float32": "MET_FLOAT",
    "float64": "MET_DOUBLE",
}
_NRRD_TYPES = {name: name for name in _META_TYPES} | {"float32": "float", "float64": "double"}


def reoriented(values: np.ndarray, affine_ras: np.ndarray, axes: str) -> tuple[np.ndarray, np.ndarray]:
    """The same anatomy with its voxels stored along other axes, such as "LPS" or "SAR"."""
    orientation = nib.orientations.io_orientation(affine_ras)
    transform = nib.orientations.ornt_transform(orientation, nib.orientations.axcodes2ornt(axes))
    stored = nib.orientations.apply_orientation(values, transform)
    return stored, affine_ras @ nib.orientations.inv_ornt_aff(transform, values.shape)


def oblique(affine_ras: np.ndarray, degrees: Sequence[float] = (11.0, -17.0, 23.0)) -> np.ndarray:
    """The same voxels turned about R, A and S."""
    turned = affine_ras
    for axis, angle in enumerate(np.deg2rad(degrees)):
        one, other = (n for n in range(3) if n != axis)
        turn = np.eye(4)
        turn[one, one] = turn[other, other] = np.cos(angle)
        turn[one, other], turn[other, one] = -np.sin(angle), np.sin(angle)
        turned = turn @ turned
    return turned


def _numbers(values: Sequence[float] | np.ndarray) -> str:
    return " ".join(repr(float(value)) for value in np.ravel(values))


def write_metaimage(
    path: Path, values: np.ndarray, affine_ras: np.ndarray, compressed: bool = False, unit_mm: float = 1.0
) -> None:
    """A .mha file, or a .mhd file with its .raw (.zraw if compressed) beside it."""
    affine = LPS @ affine_ras
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    data = values.tobytes(order="F")
    if compressed:
        data = zlib.compress(data)
    local = path.suffix == ".mha"
    beside = path.with_suffix(".zraw" if compressed else ".raw")
    header = [
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        f"CompressedData = {compressed}",
        *([f"CompressedDataSize = {len(data)}"] if compressed else []),
        f"TransformMatrix = {_numbers((affine[:3, :3] / spacing).T)}",
        f"Offset = {_numbers(affine[:3, 3] / unit_mm)}",
        "CenterOfRotation = 0 0 0",
        f"ElementSpacing = {_numbers(spacing / unit_mm)}",
        f"DimSize = {' '.join(map(str, values.shape))}",
        f"ElementType = {_META_TYPES[values.dtype.name]}",
        f"ElementDataFile = {'LOCAL' if local else beside.name}",
    ]
    text = ("\n".join(header) + "\n").encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text + data if local else text)
    if not local:
        beside.write_bytes(data)


def write_nrrd(path: Path, values: np.ndarray, affine_ras: np.ndarray, compressed: bool = False) -> None:
    """A .nrrd file, or a .nhdr file with its .raw beside it."""
    affine = LPS @ affine_ras
    detached = path.suffix == ".nhdr"
    header = [
        "NRRD0004",
        f"type: {_NRRD_TYPES[values.dtype.name]}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, values.shape))}",
        "space directions: " + " ".join(f"({','.join(map(repr, axis.tolist()))})" for axis in affine[:3, :3].T),
        "kinds: domain domain domain",
        "endian: little",
        f"encoding: {'gzip' if compressed else 'raw'}",
        f"space origin: ({','.join(map(repr, affine[:3, 3].tolist()))})",
        *([f"data file: {path.stem}.raw"] if detached else []),
    ]
    text = ("\n".join(header) + "\n\n").encode()
    data = values.tobytes(order="F")
    if compressed:
        data = gzip.compress(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if detached else text + data)
    if detached:
        path.with_suffix(".raw").write_bytes(data)


def write_nifti(
    path: Path, values: np.ndarray, affine_ras: np.ndarray, slope: float = 1.0, intercept: float = 0.0
) -> None:
    """A .nii or .nii.gz file whose stored integers give the values by slope and intercept."""
    stored = values
    if (slope, intercept) != (1.0, 0.0):
        stored = np.rint((values.astype(float) - intercept) / slope).astype(np.int16)
        np.testing.assert_array_equal(stored * slope + intercept, values)
    image = nib.Nifti1Image(stored, affine_ras, dtype=stored.dtype)
    image.header.set_data_dtype(stored.dtype)
    image.header.set_slope_inter(slope, intercept)
    image.set_sform(affine_ras, code=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    if (slope, intercept) == (1.0, 0.0):
        image.to_filename(path)
        return
    # nibabel scales what it saves anew, so the stored integers are saved first and the header's scaling afterwards.
    image.header.set_slope_inter(1.0, 0.0)
    data = bytearray(image.to_bytes())
    data[112:120] = np.array([slope, intercept], dtype="<f4").tobytes()
    with nib.openers.ImageOpener(path, "wb") as file:
        file.write(bytes(data))


def write_dicom(
    folder: Path,
    values: np.ndarray,
    affine_ras: np.ndarray,
    slopes: Sequence[float] = (1.0,),
    intercepts: Sequence[float] = (-1024.0,),
    patient: str = "doe^jane",
    modality: str = "CT",
    suffix: str = ".dcm",
) -> list[Path]:
    """One file per slice, in files whose names do not tell the order.

    Args:
        folder: made for the slices.
        values: [i, j, k] HU, i along a row and j along a column.
        affine_ras: [4, 4] map from voxel index to RAS millimetres.
        slopes: rescale slopes that the slices take in turn.
        intercepts: rescale intercepts that the slices take in turn.
        patient: PatientID.
        modality: Modality.
        suffix: ending of the file names.

    Returns:
        The files by k.
    """
    import pydicom
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    affine = LPS @ affine_ras
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    directions = affine[:3, :3] / spacing
    folder.mkdir(parents=True)
    files = []
    for k in range(values.shape[2]):
        slope, intercept = slopes[k % len(slopes)], intercepts[k % len(intercepts)]
        stored = np.rint((values[..., k].T - intercept) / slope)
        d = pydicom.Dataset()
        d.file_meta = pydicom.dataset.FileMetaDataset()
        d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID = CTImageStorage
        d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID = f"1.2.826.0.1.3680043.8.498.7.{k + 1}"
        d.Modality, d.PatientID = modality, patient
        d.StudyInstanceUID, d.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.8", "1.2.826.0.1.3680043.8.498.9"
        d.Rows, d.Columns = stored.shape
        d.PixelSpacing, d.SliceThickness = [_decimal(spacing[1]), _decimal(spacing[0])], _decimal(spacing[2])
        d.ImageOrientationPatient = [_decimal(number) for number in directions[:, :2].T.ravel()]
        d.ImagePositionPatient = [_decimal(number) for number in affine[:3, 3] + k * affine[:3, 2]]
        d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 16, 15, 1
        d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
        d.RescaleSlope, d.RescaleIntercept = slope, intercept
        d.PixelData = stored.astype("<i2").tobytes()
        files.append(folder / f"{(k * 7919 + 13) % 9973:04d}{suffix}")
        d.save_as(files[-1], enforce_file_format=True)
    return files


def _decimal(number: float) -> str:
    """DICOM allows 16 characters."""
    return f"{number:.9f}"[:16]


def edit_dicom(path: Path, saved_as: Path | None = None, **values: object) -> None:
    """Changes attributes of a slice, in place or in a copy."""
    import pydicom

    dataset = pydicom.dcmread(path)
    for name, value in values.items():
        setattr(dataset, name, value)
    dataset.save_as(saved_as or path)

"""Writing a volume as a DICOM CT series."""

from __future__ import annotations

import datetime
import hashlib
import os
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bundle import __version__
from bundle.atomic import atomic_folder
from bundle.data.ct_formats import LPS_TO_RAS
from bundle.data.dicom_series import dicom_files
from bundle.errors import InputError
from bundle.optional import require

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["write_dicom_series"]

_CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
_NOT_FOR_DIAGNOSIS = "Sparse-view reconstruction, not for diagnostic use"
# What a derived series shares with the one of the same patient, study and place in space.
_SHARED = (
    "AccessionNumber",
    "FrameOfReferenceUID",
    "PatientAge",
    "PatientBirthDate",
    "PatientID",
    "PatientName",
    "PatientPosition",
    "PatientSex",
    "PatientWeight",
    "PositionReferenceIndicator",
    "ReferringPhysicianName",
    "SpecificCharacterSet",
    "StudyDate",
    "StudyDescription",
    "StudyID",
    "StudyInstanceUID",
    "StudyTime",
)
# They must be there, if only empty.
_MAY_BE_EMPTY = (
    "AccessionNumber",
    "AcquisitionNumber",
    "KVP",
    "Laterality",
    "Manufacturer",
    "PatientBirthDate",
    "PatientID",
    "PatientName",
    "PatientPosition",
    "PatientSex",
    "PositionReferenceIndicator",
    "ReferringPhysicianName",
)


def write_dicom_series(
    hu: np.ndarray,
    affine_ras: np.ndarray,
    folder: str | os.PathLike,
    method: str,
    patient_from: str | os.PathLike | None = None,
) -> None:
    """Writes a volume as derived CT images, one file a slice, complete or not at all.

    Unique identifiers follow from the contents: the same volume of the same patient has the same.

    Args:
        hu: [x, y, z] Hounsfield units; z is the slice.
        affine_ras: [4, 4] map from voxel index to RAS millimetres, without shear.
        folder: folder to write; replaced if it exists.
        method: what reconstructed it.
        patient_from: a folder with a DICOM series of the same patient, study and frame of reference, which the new
            series joins; a study without a name if None.

    Raises:
        InputError: when axes are not at right angles, the other series cannot be read, or the folder is not writable.
        ImportError: when pydicom is missing.
    """
    pydicom = require("pydicom", "pydicom", "writing DICOM")
    common = _common(pydicom, hu, affine_ras, folder, method, patient_from)
    stored = np.clip(np.rint(hu), -32768, 32767).astype("<i2")
    affine_lps = LPS_TO_RAS @ affine_ras
    with atomic_folder(folder) as partial:
        for number in range(hu.shape[2]):
            image = deepcopy(common)
            image.InstanceNumber = number + 1
            image.SOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=[common.SeriesInstanceUID, str(number)])
            image.ImagePositionPatient = _decimals(pydicom, (affine_lps @ [0.0, 0.0, number, 1.0])[:3])
            image.PixelData = np.ascontiguousarray(stored[:, :, number].T).tobytes()
            image.file_meta = pydicom.dataset.FileMetaDataset()
            image.file_meta.TransferSyntaxUID = pydicom.uid.UID(_EXPLICIT_LITTLE_ENDIAN)
            pydicom.dcmwrite(partial / f"{number + 1:04d}.dcm", image, enforce_file_format=True)


def _common(
    pydicom: Any,
    hu: np.ndarray,
    affine_ras: np.ndarray,
    folder: str | os.PathLike,
    method: str,
    patient_from: str | os.PathLike | None,
) -> Dataset:
    """What all slices share."""
    image = pydicom.Dataset()
    for keyword in _MAY_BE_EMPTY:
        setattr(image, keyword, None)
    image.SpecificCharacterSet = "ISO_IR 192"
    if patient_from is not None:
        _join(pydicom, image, Path(patient_from))
    digest = hashlib.sha256(np.ascontiguousarray(hu, dtype="<f4").data)
    digest.update(np.ascontiguousarray(affine_ras, dtype="<f8").data)
    entropy = [digest.hexdigest(), method, str(image.get("StudyInstanceUID"))]
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "SeriesInstanceUID"):
        if not image.get(keyword):
            setattr(image, keyword, pydicom.uid.generate_uid(entropy_srcs=[keyword, *entropy]))
    _describe(image, method)
    _place(pydicom, image, hu.shape, affine_ras, folder)
    return image


def _join(pydicom: Any, image: Dataset, folder: Path) -> None:
    """Takes patient, study and frame of reference of a series."""
    files = dicom_files(folder) if folder.is_dir() else []
    if not files:
        raise InputError(folder, "has no DICOM series.", "Name the folder of the patient's CT.")
    try:
        other = pydicom.dcmread(files[0], specific_tags=list(_SHARED), force=False)
    except (OSError, pydicom.errors.InvalidDicomError) as error:
        raise InputError(files[0], f"cannot be read as DICOM ({error}).", "Copy it again.") from error
    for keyword in _SHARED:
        if other.get(keyword) not in (None, ""):
            setattr(image, keyword, other.get(keyword))


def _describe(image: Dataset, method: str) -> None:
    now = datetime.datetime.now()
    date, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    for keyword, value in (("StudyDate", date), ("StudyTime", time), ("StudyID", "1")):
        if not image.get(keyword):
            setattr(image, keyword, value)
    image.SOPClassUID = _CT_IMAGE_STORAGE
    image.Modality = "CT"
    image.SeriesNumber = 1
    image.SeriesDescription = _NOT_FOR_DIAGNOSIS
    image.ImageComments = "Not for diagnostic use: research software, not a medical device."
    image.DerivationDescription = f"Reconstructed from cone-beam projections by {method}"
    image.ManufacturerModelName = "DeepSparse MONAI bundle"
    image.SoftwareVersions = __version__
    image.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    image.SeriesDate = image.ContentDate = date
    image.SeriesTime = image.ContentTime = time
    image.BurnedInAnnotation = "NO"


def _place(
    pydicom: Any, image: Dataset, shape: tuple[int, ...], affine_ras: np.ndarray, folder: str | os.PathLike
) -> None:
    """Grid and values: rows of the image run along y, columns along x."""
    axes = (LPS_TO_RAS @ affine_ras)[:3, :3]
    size_mm = np.linalg.norm(axes, axis=0)
    directions = axes / size_mm
    if not np.allclose(directions.T @ directions, np.eye(3), atol=1e-4):
        raise InputError(folder, "would have axes that are not at right angles.", "Write NIfTI, or resample.")
    image.Columns, image.Rows = shape[0], shape[1]
    image.PixelSpacing = _decimals(pydicom, [size_mm[1], size_mm[0]])  # between rows first
    image.SliceThickness = _decimals(pydicom, [size_mm[2]])[0]
    image.ImageOrientationPatient = _decimals(pydicom, [*directions[:, 0], *directions[:, 1]])
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit = 15
    image.PixelRepresentation = 1
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = 0, 1, "HU"
    image.WindowCenter, image.WindowWidth = 40, 400


def _decimals(pydicom: Any, values: Any) -> list[str]:
    """As decimal strings of at most 16 characters."""
    return [pydicom.valuerep.format_number_as_ds(float(value) + 0.0) for value in values]

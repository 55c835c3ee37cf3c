"""Reading raw CT volumes and their labels in little memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bundle.data.checks import check_finite, check_hounsfield
from bundle.data.ct_formats import LPS_TO_RAS, NIFTI_SUFFIXES
from bundle.data.ct_volume import check_extent, check_nifti_header, check_text_header, unreadable
from bundle.data.detached_data import check_compressed, data_files
from bundle.data.dicom_series import read_dicom_series
from bundle.data.nifti import load_nifti
from bundle.data.slice_stack import SliceStack
from bundle.datasets.archives import extracted
from bundle.datasets.hounsfield import check_hounsfield_peaks
from bundle.datasets.raw_case import RawCase, RawFile, RawVolume
from bundle.errors import InputError
from bundle.optional import require

__all__ = ["check_intensities", "read_case", "read_image"]

_GRID_TOLERANCE = 1e-3
_NOT_WRAPPED = ("char", "long_long", "unsigned_long_long")  # which ITK in Python lacks; floats hold all that occur


def read_case(case: RawCase, check_hu: bool = True, unit_mm: float = 1.0) -> RawVolume:
    """Reads a case's image and label.

    Args:
        case: the case.
        check_hu: refuse intensities that cannot be HU.
        unit_mm: unit of length of its headers.

    Raises:
        InputError: when a file is missing, damaged, not 3D, without valid spacing, not finite or not HU, or the label
            is on another grid or not made of whole numbers.
    """
    if case.problem is not None:
        raise case.problem
    hu, affine = read_image(case.image, unit_mm)
    check_intensities(hu, case.image, check_hu)
    label = None
    if case.label is not None:
        label = _read_label(case.label, hu.shape, affine, unit_mm)
    return RawVolume(hu, affine, label)


def read_image(raw: RawFile, unit_mm: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Reads any image: NIfTI, MetaImage, NRRD, a folder of DICOM slices, or a member of an archive.

    Args:
        raw: the image.
        unit_mm: unit of length of its header.

    Returns:
        [i, j, k] values in the file's own axis order, int16 where that holds them all and float32 otherwise, and the
        [4, 4] map from voxel index to RAS millimetres.

    Raises:
        InputError: when it is missing, damaged, not 3D or without valid spacing.
    """
    with extracted(raw) as path:
        if not path.exists():
            raise InputError(path, "does not exist.", "Check the path.")
        if path.is_dir():
            values, affine = read_dicom_series(path)
        elif path.stat().st_size == 0:
            raise InputError(path, "is empty.", "Copy or download it again.")
        elif path.name.lower().endswith(NIFTI_SUFFIXES):
            values, affine = _read_nifti(path)
        else:
            values, affine = _read_with_itk(path)
        affine[:3] *= unit_mm
        _check_axes(values.shape, affine, path)
    return values, affine


def check_intensities(hu: np.ndarray, source: object, check_hu: bool) -> None:
    """Refuses values that are not finite and, if asked to, that cannot be HU.

    Raises:
        InputError: with what was found.
    """
    if hu.dtype.kind == "f":
        check_finite(hu, source)
    if check_hu:
        check_hounsfield(hu, source)
        check_hounsfield_peaks(hu, source)


def _read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    check_nifti_header(path)
    try:
        # One slice after the other from a file that stays open, so that neither stored nor scaled copies are held.
        image = load_nifti(path, mmap=False, keep_file_open=True)
        stack = SliceStack(image.shape, path)
        for k in range(image.shape[2]):
            stack.put(k, np.asanyarray(image.dataobj[..., k]))
    except InputError:
        raise
    except Exception as error:  # nibabel raises many kinds for damaged files
        raise unreadable(path, error) from error
    return stack.values, np.array(image.affine, dtype=float)


def _read_with_itk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    itk = require("itk", "itk-io", f"Reading {path.name}")
    data_files(path)
    check_text_header(path)
    check_compressed(path)
    try:
        # By name: looking through the formats that ITK knows would load all of its modules.
        header = (itk.MetaImageIO if path.suffix.lower() in (".mha", ".mhd") else itk.NrrdImageIO).New()
        if not header.CanReadFile(str(path)):
            raise ValueError(f"it is no {path.suffix} file")
        header.SetFileName(str(path))
        header.ReadImageInformation()
        stored = header.GetComponentTypeAsString(header.GetComponentType())
        if stored in _NOT_WRAPPED:
            reader = itk.ImageFileReader[itk.Image[itk.F, 3]].New(FileName=str(path), ImageIO=header)
            reader.Update()
            image = reader.GetOutput()
        else:
            image = itk.imread(str(path), imageio=header)
    except Exception as error:  # ITK raises many kinds for damaged files
        raise unreadable(path, error) from error
    planes = itk.array_view_from_image(image)
    stack = SliceStack(planes.T.shape, path)
    for k, plane in enumerate(planes):
        stack.put(k, plane.T)
    affine = np.eye(4)
    affine[:3, :3] = itk.array_from_matrix(image.GetDirection()) * np.array(image.GetSpacing())
    affine[:3, 3] = np.array(image.GetOrigin())
    return stack.values, LPS_TO_RAS @ affine


def _check_axes(shape: tuple[int, ...], affine: np.ndarray, path: Path) -> None:
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or (spacing <= 0).any() or abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-3:
        raise InputError(
            path, f"has the spacing {spacing.tolist()} mm and axes that span no volume.", "Correct its header."
        )
    check_extent(shape, spacing, path)


def _read_label(raw: RawFile, shape: tuple[int, ...], affine: np.ndarray, unit_mm: float) -> np.ndarray:
    label, label_affine = read_image(raw, unit_mm)
    remedy = "Use the label that was drawn on this image."
    if label.shape != shape:
        raise InputError(raw, f"has {label.shape} voxels where its image has {shape}.", remedy)
    tolerance = _GRID_TOLERANCE * np.linalg.norm(affine[:3, :3], axis=0).max()
    if not np.allclose(label_affine, affine, rtol=_GRID_TOLERANCE, atol=tolerance):
        raise InputError(raw, "has another position, spacing or orientation than its image.", remedy)
    low, high = label.min(), label.max()
    whole = label.dtype == np.int16 or all((plane == np.rint(plane)).all() for plane in label.T)
    if not whole or low < 0 or high > np.iinfo(np.int32).max:
        raise InputError(raw, f"has values from {low:g} to {high:g}, not whole numbers from 0.", remedy)
    return label.astype(np.uint8 if high <= 255 else np.int16 if label.dtype == np.int16 else np.int32)

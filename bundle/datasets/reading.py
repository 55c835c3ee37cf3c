"""Reading raw CT volumes and their labels in little memory."""

from __future__ import annotations

import numpy as np

from bundle.data.checks import check_ct_values
from bundle.data.volume_reader import read_image as read_volume_file
from bundle.datasets.archives import extracted
from bundle.datasets.hounsfield import check_hounsfield_peaks
from bundle.datasets.raw_case import RawCase, RawFile, RawVolume
from bundle.errors import InputError

__all__ = ["check_intensities", "read_case", "read_image"]

_GRID_TOLERANCE = 1e-3


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
        return read_volume_file(path, unit_mm)


def check_intensities(hu: np.ndarray, source: object, check_hu: bool) -> None:
    """Refuses values that are not finite and, if asked to, that cannot be HU.

    Raises:
        InputError: with what was found.
    """
    check_ct_values(hu, source, check_hu)
    if check_hu:
        check_hounsfield_peaks(hu, source)


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

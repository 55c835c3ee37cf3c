"""Opening and writing NIfTI files."""

from __future__ import annotations

import os
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import SpatialImage

from bundle.atomic import atomic_path

__all__ = ["load_nifti", "write_nifti"]


def load_nifti(path: str | os.PathLike, **options: Any) -> SpatialImage:
    """Opens a volume by nibabel, which may raise many kinds of errors for a damaged file.

    Args:
        path: the file.
        options: of nibabel.load.

    Raises:
        ImageFileError: when the file holds something else.
    """
    image = nib.load(path, **options)
    if not isinstance(image, SpatialImage):
        raise ImageFileError(f"{path} is no volume")
    return image


def write_nifti(values: np.ndarray, affine_ras: np.ndarray, path: str | os.PathLike) -> None:
    """Writes an image in its own type, in millimetres and patient coordinates, complete or not at all.

    Args:
        values: [x, y, z] of a type that NIfTI holds.
        affine_ras: [4, 4] map from voxel index to RAS millimetres.
        path: .nii or .nii.gz file.

    Raises:
        InputError: when the folder is full or not writable.
    """
    image = nib.Nifti1Image(values, affine_ras)
    image.set_qform(affine_ras, code=1)
    image.set_sform(affine_ras, code=1)
    image.header.set_xyzt_units("mm")
    with atomic_path(path) as temporary:
        nib.save(image, temporary)

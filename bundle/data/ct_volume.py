"""Reading CT volumes from NIfTI, MetaImage, NRRD and DICOM folders, and writing them as NIfTI."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor
from monai.utils import SpaceKeys

from bundle.atomic import check_output
from bundle.data.checks import check_ct_values
from bundle.data.ct_formats import NIFTI_SUFFIXES
from bundle.data.nifti import write_nifti
from bundle.data.volume_reader import read_image

__all__ = ["read_ct", "write_hu"]


def read_ct(path: str | os.PathLike, check_hu: bool = True) -> MetaTensor:
    """Reads one CT volume.

    Args:
        path: .nii, .nii.gz, .mha, .mhd, .nrrd or .nhdr file, or a folder with one DICOM series.
        check_hu: refuse intensities that cannot be HU.

    Returns:
        [1, i, j, k] float32 HU in the file's own axis order, with its affine in RAS millimetres.

    Raises:
        InputError: when it cannot be read (see :func:`bundle.data.volume_reader.read_image`), is not finite or not HU.
    """
    path = Path(path)
    values, affine = read_image(path)
    check_ct_values(values, path, check_hu)
    meta = {
        "filename_or_obj": str(path),
        "original_affine": affine,
        "spatial_shape": np.array(values.shape),
        "space": SpaceKeys.RAS,
    }
    # With its channel from the start: MONAI takes the first axis for one, and keeps two spatial axes without it.
    return MetaTensor(values.astype(np.float32)[None], affine=torch.as_tensor(affine), meta=meta)


def write_hu(hu: np.ndarray, affine_ras: np.ndarray, path: str | os.PathLike) -> None:
    """Writes a volume as int16 NIfTI, complete or not at all.

    Args:
        hu: [x, y, z] Hounsfield units.
        affine_ras: [4, 4] map from voxel index to RAS millimetres.
        path: .nii or .nii.gz file.

    Raises:
        InputError: when the suffix is another, or the folder is full or not writable.
    """
    check_output(path, overwrite=True, suffixes=NIFTI_SUFFIXES)
    write_nifti(np.clip(np.rint(hu), -32768, 32767).astype(np.int16), affine_ras, path)

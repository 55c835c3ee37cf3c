"""Which files a volume is read from."""

from __future__ import annotations

import os
from pathlib import Path

from bundle.data.dicom_series import dicom_files
from bundle.data.meta_image import check_meta_image_voxels, read_meta_image_header
from bundle.data.nrrd import read_nrrd_header

__all__ = ["data_files", "volume_files"]


def volume_files(path: Path) -> list[Path]:
    """A file with those that it names, or the slices of a folder.

    Raises:
        InputError: when a file that another one names is missing, too short or elsewhere.
    """
    return dicom_files(path) if os.path.isdir(path) else [path, *data_files(path)]


def data_files(path: Path) -> list[Path]:
    """Files beside a header that hold its voxels.

    Args:
        path: any file; formats other than MetaImage and NRRD have no such files.

    Raises:
        InputError: when the header names none, several or one outside its folder, or the file is missing or of another
            length than the header says.
    """
    suffix = path.suffix.lower()
    if suffix in (".mhd", ".mha"):
        data = check_meta_image_voxels(read_meta_image_header(path))
    elif suffix in (".nrrd", ".nhdr"):
        data, _ = read_nrrd_header(path).voxels()
    else:
        return []
    return [] if data == path else [data]

"""Which files a volume is read from."""

from __future__ import annotations

import os
from pathlib import Path

from bundle.data.detached_data import data_files
from bundle.data.dicom_series import dicom_files

__all__ = ["volume_files"]


def volume_files(path: Path) -> list[Path]:
    """A file with those that it names, or the slices of a folder.

    Raises:
        InputError: when a file that another one names is missing, too short or elsewhere.
    """
    return dicom_files(path) if os.path.isdir(path) else [path, *data_files(path)]

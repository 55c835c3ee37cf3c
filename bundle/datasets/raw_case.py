"""Cases of a data set as it was downloaded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bundle.errors import InputError

__all__ = ["RawCase", "RawFile", "RawVolume"]


@dataclass(frozen=True)
class RawFile:
    """Where an image or a label is read from.

    Args:
        path: a file, a folder of DICOM slices, or a zip archive.
        member: name inside the zip archive.
    """

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        return str(self.path) if self.member is None else os.path.join(self.path, self.member)


@dataclass(frozen=True)
class RawCase:
    """One case as it was found. It can be pickled.

    A case that cannot be used is listed all the same, with its problem, so that a report can name it.

    Args:
        name: name that no other usable case of the data set has.
        patient: cases of one patient belong into one section of a split.
        image: the CT.
        label: its segmentation, where there is one.
        problem: why it cannot be used.
        label_problem: why it cannot be used with its label.
        is_case: False where the problem is that of an archive or a folder, the cases in which are not known.
    """

    name: str
    patient: str
    image: RawFile
    label: RawFile | None = None
    problem: InputError | None = None
    label_problem: InputError | None = None
    is_case: bool = True


@dataclass
class RawVolume:
    """One case's voxels.

    Args:
        hu: [i, j, k] int16 or float32 HU in the file's own axis order.
        affine_ras: [4, 4] float64 map from voxel index to RAS millimetres.
        label: [i, j, k] integers on the same grid, where there are any.
    """

    hu: np.ndarray
    affine_ras: np.ndarray
    label: np.ndarray | None = None

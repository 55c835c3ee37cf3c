"""Chests made of boxes: a true volume, reconstructions of it, and its label map, as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bundle.data.nifti import write_nifti
from tests.datasets.formats import reoriented

SHAPE = (40, 36, 30)
AFFINE_RAS = np.array([[-7.0, 0, 0, 130], [0, -6.0, 0, 120], [0, 0, 8.0, -100], [0, 0, 0, 1.0]])
VOXEL_ML = 7 * 6 * 8 / 1000
# Axes run left, back, head: the patient's right has the small first index.
RIGHT, LEFT = (slice(8, 17), slice(9, 26), slice(4, 26)), (slice(23, 32), slice(9, 26), slice(9, 26))


def chest(shift: int = 0, left: bool = True) -> np.ndarray:
    """[X, Y, Z] HU of a body with two boxes of lung, the right one longer; the left one may be missing or shifted."""
    hu = np.full(SHAPE, -1000.0, dtype=np.float32)
    hu[4:36, 5:31, :] = 40.0
    hu[RIGHT] = -850.0
    if left:
        x, y, z = LEFT
        hu[x, slice(y.start + shift, y.stop + shift), z] = -850.0
    return hu


def labels(hu: np.ndarray) -> np.ndarray:
    """[X, Y, Z] 1 in the right lung, 2 in the left, of such a body."""
    lung = (hu < -500) & (np.arange(SHAPE[0])[:, None, None] > 4) & (np.arange(SHAPE[0])[:, None, None] < 35)
    lung &= (np.arange(SHAPE[1])[None, :, None] > 5) & (np.arange(SHAPE[1])[None, :, None] < 30)
    right = np.arange(SHAPE[0])[:, None, None] < 20
    return np.where(lung, np.where(right, 1, 2), 0).astype(np.uint8)


def save(values: np.ndarray, path: Path, axcodes: str = "LPS", affine: np.ndarray = AFFINE_RAS) -> Path:
    """Writes values [X, Y, Z] with axes left, back, head as NIfTI in another axis order."""
    kind = np.uint8 if values.dtype == np.uint8 else np.int16
    write_nifti(*reoriented(values.astype(kind), affine, axcodes), path)
    return path


class BoxLungs:
    """Segments such bodies exactly: air inside, right and left by the patient's coordinates."""

    structures = {1: "right lung", 2: "left lung"}  # noqa: RUF012

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, hu: np.ndarray, affine_ras: np.ndarray) -> np.ndarray:
        self.calls += 1
        index = np.indices(hu.shape).reshape(3, -1)
        ras = (affine_ras[:3, :3] @ index + affine_ras[:3, 3:]).reshape(3, *hu.shape)
        back = (np.linalg.inv(AFFINE_RAS)[:3, :3] @ ras.reshape(3, -1)) + np.linalg.inv(AFFINE_RAS)[:3, 3:]
        x, y, _ = back.reshape(3, *hu.shape)
        lung = (hu < -500) & (x > 4.5) & (x < 34.5) & (y > 5.5) & (y < 29.5)
        return np.where(lung, np.where(x < 19.5, 1, 2), 0).astype(np.uint8)

    def describe(self) -> dict[str, str]:
        return {"name": "boxes"}

"""Slices through the structures, as radiologists look at them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from bundle.data.checks import check_spatial
from bundle.data.ct_volume import check_nifti_header, unreadable
from bundle.errors import InputError
from bundle.report.findings import Picture
from bundle.visual import plane

__all__ = ["PLANE_AXES", "PictureSlices", "read_slices"]

PLANE_AXES = {"axial": 2, "coronal": 1, "sagittal": 0}
"""The axis that each plane cuts, of left, back and head."""
_LEAST_SHARE = 0.5  # of the fullest plane's structures that the central plane must show
_LARGEST_SHIFT_MM = 0.01  # between the corners of grids that are one


@dataclass(frozen=True)
class PictureSlices:
    """One plane through a case.

    Args:
        plane: "axial", "coronal" or "sagittal".
        position: index of the slice along the axis that the plane cuts, counted towards left, back or head from 0.
        count: slices along that axis.
        ratio: height of a pixel by its width.
        truth: [rows, columns] HU.
        volume: [rows, columns] HU of the reconstruction.
        reference_mask: [rows, columns] labels of the truth.
        mask: [rows, columns] labels of the reconstruction.
    """

    plane: str
    position: int
    count: int
    ratio: float
    truth: np.ndarray
    volume: np.ndarray
    reference_mask: np.ndarray
    mask: np.ndarray


def read_slices(picture: Picture) -> list[PictureSlices]:
    """Reads a picture's volumes one after another and keeps an axial, a coronal and a sagittal slice.

    The planes go through the centre of the structures of both masks; where that misses most of them, as between two
    lungs, the plane that shows most is taken. Without structures they go through the volume's centre.

    Raises:
        InputError: when a file cannot be read or the grids differ.
    """
    masks, shape, affine = [], None, np.eye(4)
    for path in (picture.reference_mask, picture.mask):
        values, found = _read(path)
        if shape is None:
            shape, affine = values.shape, found
        _check_grid(path, picture.reference_mask, (values.shape, found), (shape, affine))
        masks.append(_in_lps(np.rint(values).astype(np.int32), affine))
    assert shape is not None
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    axes = nib.orientations.io_orientation(affine)[:, 0].astype(int)
    voxel_mm = [float(spacing[list(axes).index(axis)]) for axis in range(3)]
    where = _positions((masks[0] > 0) | (masks[1] > 0))
    taken = [[_slice(labels, name, where, voxel_mm) for name in PLANE_AXES] for labels in masks]
    count = dict(zip(PLANE_AXES, (masks[0].shape[axis] for axis in PLANE_AXES.values())))
    del masks
    for path in (picture.truth, picture.volume):
        values, found = _read(path)
        _check_grid(path, picture.reference_mask, (values.shape, found), (shape, affine))
        hu = _in_lps(values, affine)
        taken.append([_slice(hu, name, where, voxel_mm) for name in PLANE_AXES])
    reference_mask, mask, truth, volume = taken
    return [
        PictureSlices(
            plane=name,
            position=where[axis],
            count=count[name],
            ratio=truth[i][1],
            truth=truth[i][0],
            volume=volume[i][0],
            reference_mask=reference_mask[i][0],
            mask=mask[i][0],
        )
        for i, (name, axis) in enumerate(PLANE_AXES.items())
    ]


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """[i, j, k] float32 values and the [4, 4] affine in RAS millimetres of a NIfTI file."""
    check_nifti_header(path)
    try:
        image = nib.load(path)
        values = image.get_fdata(dtype=np.float32, caching="unchanged")
    except Exception as error:  # damaged files raise many kinds
        raise unreadable(path, error) from error
    check_spatial(values.shape, path)
    return values, image.affine


def _in_lps(values: np.ndarray, affine_ras: np.ndarray) -> np.ndarray:
    """The volume with axes that run left, back and head, or nearly so where it is oblique."""
    wanted = nib.orientations.axcodes2ornt("LPS")
    turn = nib.orientations.ornt_transform(nib.orientations.io_orientation(affine_ras), wanted)
    return nib.orientations.apply_orientation(values, turn)


def _slice(values: np.ndarray, name: str, where: tuple[int, ...], voxel_mm: list[float]) -> tuple[np.ndarray, float]:
    """A copy of one plane, so that the volume can go, and its pixels' ratio."""
    axis = PLANE_AXES[name]
    thin = tuple(slice(at, at + 1) if other == axis else slice(None) for other, at in enumerate(where))
    image, ratio = plane(values[thin], name, voxel_mm)
    return image.copy(), ratio


def _positions(structures: np.ndarray) -> tuple[int, ...]:
    """Index of the slice to show along each axis of a boolean volume."""
    if not structures.any():
        return tuple(n // 2 for n in structures.shape)
    found = []
    for axis in range(3):
        amount = structures.sum(axis=tuple(other for other in range(3) if other != axis))
        centre = round(float(np.average(np.arange(len(amount)), weights=amount)))
        found.append(centre if amount[centre] >= _LEAST_SHARE * amount.max() else int(amount.argmax()))
    return tuple(found)


def _check_grid(path: object, first: object, grid: tuple, wanted: tuple) -> None:
    corners = np.array([[0, 0, 0, 1], [*wanted[0], 1]]).T
    if tuple(grid[0]) != tuple(wanted[0]) or np.abs((grid[1] - wanted[1]) @ corners).max() > _LARGEST_SHIFT_MM:
        raise InputError(path, f"lies on another grid than {first}.", "Resample it to that grid.")

"""Slices through the structures, as radiologists look at them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bundle.data.grids import Volume, check_same_grid, read_volume
from bundle.report.findings import Picture
from bundle.segmentation.frame import turned
from bundle.visual import PLANES, plane

__all__ = ["PictureSlices", "SliceReader"]

_LEAST_SHARE = 0.5  # of the fullest plane's structures that the central plane must show
Slices = dict[str, np.ndarray]  # [rows, columns] by plane


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


@dataclass(frozen=True)
class _Reference:
    """What is kept of a reference's label map: its grid without values, and where to cut it, if it has structures."""

    grid: Volume
    where: tuple[int, ...] | None


class SliceReader:
    """Reads the slices of one picture after another; what pictures of a case share is read once."""

    def __init__(self) -> None:
        self._references: dict[Path, _Reference] = {}
        self._shared: dict[tuple[Path, tuple[int, ...]], Slices] = {}

    def __call__(self, picture: Picture) -> list[PictureSlices]:
        """An axial, a coronal and a sagittal slice of a picture's volumes, of which one at a time is in memory.

        The planes go through the centre of the truth's structures; where that misses most of them, as between two
        lungs, the plane that shows most is taken. Where the truth has none, the reconstruction's count; without any
        the planes go through the volume's centre.

        Raises:
            InputError: when a file cannot be read or the grids differ.
        """
        reference = self._reference(picture.reference_mask)
        mask = _read(picture.mask, reference.grid, picture.reference_mask)
        shape, voxel_mm = mask.shape, turned(*reference.grid, "LPS").spacing_mm
        where = reference.where or _fullest(mask > 0) or tuple(n // 2 for n in shape)
        masks = _cut(mask, where)
        del mask
        reference_masks = self._cut_shared(picture.reference_mask, where, picture)
        truths = self._cut_shared(picture.truth, where, picture)
        volumes = _cut(_read(picture.volume, reference.grid, picture.reference_mask), where)
        made = []
        for name, (axis, _) in PLANES.items():
            truth, ratio = plane(truths[name], name, voxel_mm)
            others = (plane(part[name], name, voxel_mm)[0] for part in (volumes, reference_masks, masks))
            volume, reference_labels, labels = others
            made.append(
                PictureSlices(
                    name, where[axis], shape[axis], ratio, truth, volume, _labels(reference_labels), _labels(labels)
                )
            )
        return made

    def _reference(self, path: Path) -> _Reference:
        if path not in self._references:
            values, affine = read_volume(path, check_hu=False)
            oriented = turned(values, affine, "LPS").values
            where = _fullest(oriented > 0)
            if where is not None:
                self._shared[path, where] = _cut(oriented, where)
            self._references[path] = _Reference((np.broadcast_to(np.uint8(0), values.shape), affine), where)
        return self._references[path]

    def _cut_shared(self, path: Path, where: tuple[int, ...], picture: Picture) -> Slices:
        if (path, where) not in self._shared:
            grid = self._references[picture.reference_mask].grid
            self._shared[path, where] = _cut(_read(path, grid, picture.reference_mask), where)
        return self._shared[path, where]


def _read(path: Path, grid: Volume, other: Path) -> np.ndarray:
    """[left, back, head] values of a volume that lies on a grid, which is another file's."""
    volume = read_volume(path, check_hu=False)
    check_same_grid(volume, grid, path, other)
    return turned(volume[0], grid[1], "LPS").values


def _labels(values: np.ndarray) -> np.ndarray:
    return np.rint(values).astype(np.int32)


def _cut(values: np.ndarray, where: tuple[int, ...]) -> Slices:
    """Copies of the planes, one voxel thick, so that the volume can go."""
    cut = {}
    for name, (axis, _) in PLANES.items():
        thin = tuple(slice(at, at + 1) if other == axis else slice(None) for other, at in enumerate(where))
        cut[name] = values[thin].copy()
    return cut


def _fullest(structures: np.ndarray) -> tuple[int, ...] | None:
    """Index of the slice to show along each axis of a boolean volume; None if it is empty."""
    found = []
    for axis in range(3):
        amount = np.count_nonzero(structures, axis=tuple(other for other in range(3) if other != axis))
        if not amount.any():
            return None
        centre = round(float(np.average(np.arange(len(amount)), weights=amount)))
        found.append(centre if amount[centre] >= _LEAST_SHARE * amount.max() else int(amount.argmax()))
    return tuple(found)

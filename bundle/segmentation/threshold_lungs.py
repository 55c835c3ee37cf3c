"""Lungs found by an air threshold and connected components: a rule of thumb that needs no weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bundle import __version__
from bundle.errors import InputError
from bundle.optional import require
from bundle.segmentation.air_spaces import air_in_body, lung_sized
from bundle.segmentation.frame import check_volume, in_orientation
from bundle.segmentation.two_sides import right_and_left

__all__ = ["ThresholdLungs"]

_WORKING_MM = 3.5  # what lungs are told apart on: finer voxels cost time and add noise
_SMOOTHING_MM = 1.5
_EDGE_SMOOTHING_MM = 0.9
_CLIP_HU = (-1024.0, 600.0)
_ROOM_MM = 12.0


class ThresholdLungs:
    """Right and left lung of a chest CT without a trained model.

    Air inside the body is taken for lung where it is wide and large enough, and parted into two sides. Small airways
    and vessels count as lung; what is as dense as soft tissue, such as consolidation or effusion, does not. Windpipe
    and bowel gas are mostly left out, not always, and lungs may be missed where the front or back of the volume cuts
    the body. It is meant for demonstrations and for checking a set-up; published figures want a trained segmenter.

    Args:
        threshold_hu: what is darker is air or lung.
        check_hu: refuse volumes whose values cannot be HU.

    Raises:
        InputError: when the threshold does not lie between air and soft tissue.
        ImportError: when scipy is missing.
    """

    structures: Mapping[int, str] = {1: "right lung", 2: "left lung"}

    def __init__(self, threshold_hu: float = -400.0, check_hu: bool = True) -> None:
        if not -900 <= threshold_hu <= -100:
            raise InputError("threshold_hu", f"is {threshold_hu:g}.", "Give -900 to -100 HU.")
        self._ndimage = require("scipy.ndimage", "scipy", "The segmenter lung_threshold")
        self.threshold_hu = threshold_hu
        self.check_hu = check_hu

    def __call__(self, hu: np.ndarray, affine_ras: np.ndarray) -> np.ndarray:
        """Segments one volume.

        Args:
            hu: [X, Y, Z] Hounsfield units.
            affine_ras: [4, 4] map from voxel index to RAS millimetres.

        Returns:
            [X, Y, Z] uint8, 1 in the right lung and 2 in the left; all 0 in a volume without lungs.

        Raises:
            InputError: when the volume is not HU, or lies oblique to the patient's axes.
        """
        check_volume(hu, affine_ras, self.check_hu)
        volume = in_orientation(hu, affine_ras, "LPS")
        factors = [max(1, round(_WORKING_MM / size)) for size in volume.spacing_mm]
        spacing = np.multiply(volume.spacing_mm, factors)
        coarse = _block_means(volume.values, factors)
        coarse = self._ndimage.gaussian_filter(coarse, _SMOOTHING_MM / spacing)
        air, body = air_in_body(coarse, spacing.tolist(), self.threshold_hu)
        labels = np.zeros(volume.values.shape, dtype=np.uint8)
        lungs = lung_sized(air, coarse, spacing.tolist())
        if lungs.any():
            box = self._box(lungs, spacing)
            across = body[:, :, box[2]].sum(axis=(1, 2))
            body_middle = np.average(np.arange(len(across)), weights=across) - box[0].start
            sides = right_and_left(lungs[box], body_middle, spacing.tolist())
            own = tuple(slice(part.start * f, part.stop * f) for part, f in zip(box, factors))
            labels[own] = self._on_own_grid(sides, volume.values[own], factors, volume.spacing_mm)
        return volume.restore(labels)

    def describe(self) -> dict[str, str]:
        """Name, version and settings."""
        return {
            "segmenter": "lung_threshold",
            "method": "air threshold and connected components, no trained model",
            "version": __version__,
            "threshold_hu": f"{self.threshold_hu:g}",
        }

    def _box(self, mask: np.ndarray, spacing_mm: np.ndarray) -> tuple[slice, ...]:
        """What encloses a mask with some room around it."""
        room = np.ceil(_ROOM_MM / spacing_mm).astype(int)
        found = self._ndimage.find_objects(mask.astype(np.uint8))[0]
        return tuple(slice(max(0, s.start - r), min(n, s.stop + r)) for s, r, n in zip(found, room, mask.shape))

    def _on_own_grid(
        self, sides: np.ndarray, hu: np.ndarray, factors: list[int], spacing_mm: tuple[float, float, float]
    ) -> np.ndarray:
        """Brings labels to the volume's grid, with the edge where its own values cross the threshold.

        Args:
            sides: [a, b, c] labels on the working grid.
            hu: [A, B, C] the same part of the volume.
            factors: voxels in a working voxel, per axis.
            spacing_mm: the volume's voxel size.

        Returns:
            [A, B, C] uint8.
        """
        smooth = self._ndimage.gaussian_filter(_clipped(hu), _EDGE_SMOOTHING_MM / np.asarray(spacing_mm))
        inside = self._ndimage.binary_erosion(sides > 0)
        around = self._ndimage.grey_dilation(sides, size=3)
        wide = np.where(sides > 0, sides, around)
        lung = (smooth < self.threshold_hu) | _repeated(inside, factors, hu.shape)
        return np.where(lung, _repeated(wide, factors, hu.shape), 0)


def _clipped(hu: np.ndarray) -> np.ndarray:
    """The volume in float32, without the excesses of streaks and metal."""
    return np.clip(hu, *_CLIP_HU, dtype=np.float32, casting="same_kind")


def _block_means(values: np.ndarray, factors: list[int]) -> np.ndarray:
    """[a, b, c] float32 means over blocks of voxels; the last block of an axis repeats its edge."""
    padded = np.pad(_clipped(values), [(0, -n % f) for n, f in zip(values.shape, factors)], mode="edge")
    for axis, factor in enumerate(factors):
        if factor > 1:
            shape = (*padded.shape[:axis], padded.shape[axis] // factor, factor, *padded.shape[axis + 1 :])
            padded = padded.reshape(shape).mean(axis=axis + 1)
    return padded


def _repeated(values: np.ndarray, factors: list[int], shape: tuple[int, ...]) -> np.ndarray:
    """Repeats voxels along each axis, and cuts the result to a shape."""
    for axis, factor in enumerate(factors):
        values = values.repeat(factor, axis=axis)
    return values[: shape[0], : shape[1], : shape[2]]

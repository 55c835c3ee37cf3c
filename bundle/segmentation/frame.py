"""Turning volumes to the axes that a segmenter expects, and its labels back to the volume's own grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform

from bundle.data.checks import check_finite, check_hounsfield, check_spatial
from bundle.errors import InputError

__all__ = ["Oriented", "check_labels", "check_volume", "in_orientation", "turned"]

MOST_OBLIQUE_DEG = 20.0
_SOURCE = "volume"  # callers that know its file put the name before it, by bundle.errors.naming


@dataclass(frozen=True)
class Oriented:
    """A volume with its axes in a given order and direction.

    Args:
        values: [A, B, C] the volume's values, only permuted and flipped.
        affine_ras: [4, 4] map from the index in ``values`` to RAS millimetres.
        spacing_mm: voxel sizes (A, B, C).
        back: orientation transform to the volume's own axes, as nibabel writes them.
    """

    values: np.ndarray
    affine_ras: np.ndarray
    spacing_mm: tuple[float, float, float]
    back: np.ndarray

    def restore(self, labels: np.ndarray) -> np.ndarray:
        """Turns labels [A, B, C] to the volume's own axes [X, Y, Z]."""
        if labels.shape != self.values.shape:
            raise ValueError(f"labels of shape {labels.shape} do not belong to a volume of {self.values.shape}")
        return np.ascontiguousarray(apply_orientation(labels, self.back))


def in_orientation(hu: np.ndarray, affine_ras: np.ndarray, axcodes: str) -> Oriented:
    """Turns a volume to given axes, exactly: nothing is interpolated.

    Args:
        hu: [X, Y, Z] volume.
        affine_ras: [4, 4] map from voxel index to RAS millimetres.
        axcodes: where each axis shall lead, such as "LPS" for left, back and head.

    Raises:
        InputError: when an axis of the volume is more than 20 degrees off the patient's axes, so that no order of its
            axes is the asked one.
    """
    affine = np.asarray(affine_ras, dtype=float)
    tilt = _tilt_deg(affine, io_orientation(affine))
    if tilt > MOST_OBLIQUE_DEG:
        raise InputError(
            _SOURCE,
            f"has an axis {tilt:.0f} degrees off the patient's axes.",
            "Resample it to a grid along them, such as the truth's.",
        )
    return turned(hu, affine, axcodes)


def turned(values: np.ndarray, affine_ras: np.ndarray, axcodes: str) -> Oriented:
    """The same, for a volume of any kind that may be oblique: its axes then lead nearly where they are asked to."""
    affine = np.asarray(affine_ras, dtype=float)
    own, wanted = io_orientation(affine), axcodes2ornt(tuple(axcodes))
    transform = ornt_transform(own, wanted)
    affine = affine @ inv_ornt_aff(transform, values.shape)
    spacing = nib.affines.voxel_sizes(affine)
    return Oriented(
        values=apply_orientation(values, transform),
        affine_ras=affine,
        spacing_mm=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        back=ornt_transform(wanted, own),
    )


def check_volume(hu: np.ndarray, affine_ras: np.ndarray, check_hu: bool = True) -> None:
    """Refuses what no segmenter can work on.

    Args:
        hu: [X, Y, Z] volume.
        affine_ras: [4, 4] map from voxel index to RAS millimetres.
        check_hu: refuse values that cannot be HU.

    Raises:
        InputError: when the volume is not 3D, not finite or not HU, or its affine is no map of three axes.
    """
    check_spatial(hu.shape, _SOURCE)
    affine = np.asarray(affine_ras, dtype=float)
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise InputError(_SOURCE, "has no valid affine.", "Give the map from voxel index to RAS mm of its file.")
    check_finite(hu, _SOURCE)
    if check_hu:
        check_hounsfield(hu, _SOURCE)


def check_labels(
    labels: np.ndarray, structures: Mapping[int, str] | Iterable[int], source: object = "label map"
) -> None:
    """Refuses a label map with classes that are not known.

    Args:
        labels: label map of any shape; 0 is background.
        structures: known labels, or names by label.
        source: what to name in the message.

    Raises:
        InputError: naming the unknown classes, or what is no label at all.
    """
    found = np.unique(labels)
    if not np.isfinite(found).all() or (found != np.rint(found)).any() or (found < 0).any():
        raise InputError(source, "has values that are no labels.", "Give whole numbers from 0 on.")
    known = sorted(int(label) for label in structures)
    unknown = [int(label) for label in found if label != 0 and label not in known]
    if unknown:
        raise InputError(
            source,
            f"has the unknown classes {', '.join(map(str, unknown[:8]))}{', ...' if len(unknown) > 8 else ''}.",
            f"Name their structures, or remove them; known are {', '.join(map(str, known)) or 'none'}.",
        )


def _tilt_deg(affine: np.ndarray, orientation: np.ndarray) -> float:
    """Largest angle between an axis of the volume and the patient's axis that it stands for."""
    if np.isnan(orientation).any():
        return 90.0
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    along = directions[orientation[:, 0].astype(int), range(3)] * orientation[:, 1]
    return float(np.rad2deg(np.arccos(np.clip(along, -1, 1))).max())

"""Where the scan's grid lies in a CT."""

from __future__ import annotations

import math
from collections.abc import Sequence

import nibabel as nib
import numpy as np

from bundle.data.ct_formats import LPS_TO_RAS
from bundle.errors import InputError
from bundle.presets import ScanPreset

__all__ = ["LEAST_OVERLAP", "box_centre", "scan_axes", "scan_grids", "window_centres"]

LEAST_OVERLAP = 0.125
"""Least part of its length that an axial window shares with the next."""


def scan_axes(affine_ras: np.ndarray) -> np.ndarray:
    """The CT's own axes, ordered and turned to be nearest to left, back and head, and made orthogonal.

    A CT that was scanned obliquely stays so: only its axes are renamed. Those of a tilted gantry, which are not
    orthogonal, become so, at the least total change.

    Args:
        affine_ras: [4, 4] map from voxel index to RAS mm.

    Returns:
        [3, 3] unit vectors in LPS coordinates, one in each column.

    Raises:
        InputError: when the axes do not span space.
    """
    directions = (LPS_TO_RAS @ affine_ras)[:3, :3]
    directions = directions / np.linalg.norm(directions, axis=0)
    if not np.isfinite(directions).all() or abs(np.linalg.det(directions)) < 0.1:
        raise InputError("orientation", "has axes that lie in a plane.", "Correct the directions in the header.")
    ordered = np.empty((3, 3))
    # Each axis of the CT, and which way it runs along the world's; as coordinates are LPS, so are these.
    for column, (axis, sign) in enumerate(nib.orientations.io_orientation(nib.affines.from_matvec(directions))):
        ordered[:, int(axis)] = sign * directions[:, column]
    left, _, right = np.linalg.svd(ordered)
    return left @ right


def box_centre(labels: np.ndarray | None) -> np.ndarray:
    """[3] index of the centre of the foreground's bounding box, in the labels' own axes.

    Raises:
        InputError: when nothing is labelled.
    """
    if labels is None or not labels.any():
        raise InputError("label", "has no foreground.", "Give the labels of this CT, or leave the case out.")
    centre = []
    for axis in range(3):
        found = np.flatnonzero(labels.any(axis=tuple(other for other in range(3) if other != axis)))
        centre.append((found[0] + found[-1]) / 2)
    return np.array(centre)


def window_centres(length_mm: float, window_mm: float) -> np.ndarray:
    """Centres of the fewest windows that cover a length, equally spaced, as distances from its middle.

    Neighbours share at least LEAST_OVERLAP of a window. A length that fits into one window has that alone.
    """
    if length_mm <= window_mm * (1 + 1e-6):
        return np.zeros(1)
    step = window_mm * (1 - LEAST_OVERLAP)
    count = 1 + math.ceil((length_mm - window_mm) / step - 1e-6)
    half = (length_mm - window_mm) / 2
    return np.linspace(-half, half, count)


def scan_grids(
    shape: Sequence[int],
    affine_ras: np.ndarray,
    scan: ScanPreset,
    centre_index: np.ndarray | None = None,
    window_mm: float | None = None,
) -> list[np.ndarray]:
    """Places the scan's volume in a CT.

    Args:
        shape: of the CT.
        affine_ras: [4, 4] map from its voxel index to RAS mm.
        scan: the scan.
        centre_index: [3] voxel index that becomes the centre; the CT's own centre if None.
        window_mm: cover a longer axial field with windows of this length, or of the scan's field where that is less;
            one grid if None.

    Returns:
        [4, 4] maps from the grids' voxel index (axes left, back, head) to RAS mm, from feet to head.
    """
    affine_lps = LPS_TO_RAS @ affine_ras
    axes = scan_axes(affine_ras)
    middle = (np.asarray(shape) - 1) / 2 if centre_index is None else np.asarray(centre_index)
    centre_mm = affine_lps[:3, :3] @ middle + affine_lps[:3, 3]
    offsets_mm = np.zeros(1)
    if window_mm is not None:
        axial_mm = float(np.abs(axes[:, 2] @ affine_lps[:3, :3]) @ np.asarray(shape))
        offsets_mm = window_centres(axial_mm, min(window_mm, scan.volume_shape[2] * scan.voxel_mm[2]))
    grids = []
    for offset_mm in offsets_mm:
        linear = axes * np.asarray(scan.voxel_mm)
        corner = centre_mm + offset_mm * axes[:, 2] - linear @ ((np.asarray(scan.volume_shape) - 1) / 2)
        grids.append(LPS_TO_RAS @ nib.affines.from_matvec(linear, corner))
    return grids

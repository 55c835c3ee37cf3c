"""Telling the right lung from the left, where they touch as well."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bundle.optional import require

__all__ = ["LEFT", "RIGHT", "right_and_left"]

RIGHT, LEFT = 1, 2
_NECK_STEP_MM = 2.0
_WIDEST_NECK_MM = 24.0  # half the thickness of the widest bridge between the lungs that is cut
_LEAST_SHARE = 0.1  # of the lungs' volume, for a part to be a side of its own
_LEAST_MARKER_SHARE = 0.01  # for a part to count where a lung is in several
_LEAST_APART_MM = 50.0
_MOST_ACROSS = 0.03  # of the parts' volume, on the other side of the middle between them
_VESSEL_MM = 6.0  # half the thickness of vessels that count as lung


def right_and_left(lungs: np.ndarray, body_middle: float, spacing_mm: Sequence[float]) -> np.ndarray:
    """Labels the right lung 1 and the left 2, with the vessels inside them.

    Args:
        lungs: [x, y, z] mask, x running from the right to the left of the patient, z along the body.
        body_middle: index along x that decides the side of a single lung.
        spacing_mm: voxel size.

    Returns:
        [x, y, z] uint8 labels.
    """
    sides = _nearest(_markers(lungs, body_middle, spacing_mm), lungs, spacing_mm)
    labels = sides.copy()
    for side in (RIGHT, LEFT):
        labels[_with_vessels(sides == side, spacing_mm) & (labels == 0)] = side
    return labels


def _markers(lungs: np.ndarray, body_middle: float, spacing_mm: Sequence[float]) -> np.ndarray:
    """[x, y, z] labels of what remains of the lungs when they are thinned until the sides come apart."""
    ndimage = require("scipy.ndimage", "scipy", "The segmenter lung_threshold")
    depth = ndimage.distance_transform_edt(lungs, sampling=spacing_mm)
    best, least_across = None, 1.0
    for half_width in np.arange(0, _WIDEST_NECK_MM, _NECK_STEP_MM):
        parts, count = ndimage.label(depth > half_width)
        along_x = np.stack([np.bincount(plane.ravel(), minlength=count + 1)[1:] for plane in parts], axis=1)
        sizes = along_x.sum(axis=1)
        large = np.flatnonzero(sizes >= _LEAST_SHARE * sizes.sum())
        if len(large) < 2:
            continue
        x = np.arange(along_x.shape[1])
        centres = along_x[large] @ x / sizes[large]
        if np.ptp(centres) * spacing_mm[0] < _LEAST_APART_MM:
            continue
        middle = (centres.min() + centres.max()) / 2
        is_right = centres < middle
        across = along_x[large][is_right][:, x > middle].sum() + along_x[large][~is_right][:, x <= middle].sum()
        if across < least_across * sizes[large].sum():
            side_of = np.where(along_x @ x / sizes < middle, RIGHT, LEFT)
            side_of[sizes < _LEAST_MARKER_SHARE * sizes.sum()] = 0
            best = np.concatenate([[0], side_of]).astype(np.uint8)[parts]
            least_across = across / sizes[large].sum()
        if least_across < _MOST_ACROSS:
            break
    if best is not None:
        return best
    side = RIGHT if ndimage.center_of_mass(lungs)[0] < body_middle else LEFT
    return np.where(lungs, side, 0).astype(np.uint8)


def _nearest(markers: np.ndarray, lungs: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    """[x, y, z] labels of the lungs, each voxel that of the nearest marker."""
    ndimage = require("scipy.ndimage", "scipy", "The segmenter lung_threshold")
    index = ndimage.distance_transform_edt(
        markers == 0, sampling=spacing_mm, return_distances=False, return_indices=True
    )
    return np.where(lungs, markers[tuple(index)], 0).astype(np.uint8)


def _with_vessels(lung: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    """[x, y, z] the lung, closed over its vessels, its holes filled slice by slice."""
    ndimage = require("scipy.ndimage", "scipy", "The segmenter lung_threshold")
    grown = ndimage.distance_transform_edt(~lung, sampling=spacing_mm) <= _VESSEL_MM
    whole = lung | (ndimage.distance_transform_edt(grown, sampling=spacing_mm) > _VESSEL_MM)
    for z in range(whole.shape[2]):
        whole[:, :, z] = ndimage.binary_fill_holes(whole[:, :, z])
    return whole

"""Air inside the body, and which of it is large and wide enough to be lung."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bundle.optional import require

__all__ = ["air_in_body", "lung_sized"]

_GAP_MM = 12.0  # widest gap in the chest wall, such as a streak, that does not let the outside in
_NEIGHBOURS_MM = 25.0  # slices that may make up for one that is open to the outside
_CORE_MM = 10.0  # windpipe and bowel are hardly wider than twice this
_REACH_MM = 10.0  # how far lung goes on, through air, beyond what is that wide
_LEAST_ML = 60.0
_LEAST_SHARE = 0.08  # of the largest air space, for another to be lung, too
_GAS_HU = -940.0  # gas alone is darker nearly everywhere; lung holds blood vessels
_GAS_PERCENTILE = 90


def air_in_body(hu: np.ndarray, spacing_mm: Sequence[float], threshold_hu: float) -> tuple[np.ndarray, np.ndarray]:
    """Parts air inside the body from air around it, axial slice by slice.

    Lungs that are open to the first or last slice, or cut by the left or right side of the volume, are inside.

    Args:
        hu: [x, y, z] smoothed volume; y runs from front to back or the other way, z along the body.
        spacing_mm: voxel size.
        threshold_hu: what is darker is air.

    Returns:
        [x, y, z] masks of the air in the body, and of the body with that air.
    """
    ndimage = require("scipy.ndimage", "scipy", "The segmenter lung_threshold")
    dark = hu < threshold_hu
    body = np.empty_like(dark)
    for z in range(hu.shape[2]):
        body[:, :, z] = ~_around_body(dark[:, :, z], spacing_mm[:2])
    near = 2 * int(_NEIGHBOURS_MM / 2 / spacing_mm[2]) + 1
    body |= ndimage.uniform_filter1d(body.astype(np.float32), near, axis=2, mode="nearest") > 0.6
    parts, count = ndimage.label(body)
    if count > 1:
        body = parts == 1 + int(np.bincount(parts.ravel())[1:].argmax())
    return dark & body, body


def lung_sized(air: np.ndarray, hu: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    """Keeps air spaces that are wide, large and dense enough to be lung.

    Args:
        air: [x, y, z] mask of air in the body.
        hu: [x, y, z] smoothed volume.
        spacing_mm: voxel size.

    Returns:
        [x, y, z] mask.
    """
    ndimage = require("scipy.ndimage", "scipy", "The segmenter lung_threshold")
    core = ndimage.distance_transform_edt(air, sampling=spacing_mm) > _CORE_MM
    if not core.any():
        return np.zeros_like(air)
    steps = int(np.ceil((_CORE_MM + _REACH_MM) / np.mean(spacing_mm)))
    wide = ndimage.binary_dilation(core, iterations=steps, mask=air)
    parts, count = ndimage.label(wide)
    volumes_ml = np.bincount(parts.ravel(), minlength=count + 1)[1:] * np.prod(spacing_mm) / 1000
    cores = np.where(core, parts, 0)
    brightest = [
        np.percentile(hu[box][cores[box] == part], _GAS_PERCENTILE)
        for part, box in enumerate(ndimage.find_objects(cores, count), 1)
    ]
    lung = (np.array(brightest) > _GAS_HU) & (volumes_ml >= _LEAST_ML)
    if lung.any():
        lung &= volumes_ml >= _LEAST_SHARE * volumes_ml[lung].max()
    return np.concatenate([[False], lung])[parts]


def _around_body(dark: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    """[x, y] the air that a disc as wide as the gap reaches from the front or back of the slice."""
    ndimage = require("scipy.ndimage", "scipy", "The segmenter lung_threshold")
    beyond = int(np.ceil(_GAP_MM / spacing_mm[1])) + 1
    padded = np.pad(dark, [(0, 0), (beyond, beyond)], constant_values=True)
    passable = ndimage.distance_transform_edt(padded, sampling=spacing_mm) > _GAP_MM / 2
    parts, _ = ndimage.label(passable)
    seeds = np.unique(parts[:, [0, -1]])
    reached = np.isin(parts, seeds[seeds > 0])
    swept = ndimage.distance_transform_edt(~reached, sampling=spacing_mm) <= _GAP_MM / 2
    return (swept & padded)[:, beyond:-beyond]

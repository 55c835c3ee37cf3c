"""Refusing volumes that are not CT in Hounsfield units."""

from __future__ import annotations

import numpy as np

from bundle.errors import InputError
from bundle.plausible import HU_RANGE

__all__ = ["check_ct_values", "check_finite", "check_hounsfield", "check_plausible", "check_spatial"]

_MOST_NEGATIVE_HU, _MOST_POSITIVE_HU = HU_RANGE
_BODY_HU = (-1200.0, 4000.0)  # what but padding, metal and artefacts lies within
_MOST_BEYOND = 0.05  # of the voxels
_ROUGHEST = 0.9  # mean difference of neighbours, in mean differences of any two voxels
_SAMPLES = 100  # voxels along an axis that are looked at


def check_spatial(shape: tuple[int, ...], source: object) -> None:
    """Refuses anything but a 3D volume.

    Raises:
        InputError: when there are not three axes of at least two voxels.
    """
    if len(shape) != 3 or min(shape) < 2:
        raise InputError(
            source,
            f"has shape {tuple(shape)}, so it is not a 3D volume.",
            "Give one volume with three axes, not a slice or a series.",
        )


def check_ct_values(values: np.ndarray, source: object, check_hu: bool = True) -> None:
    """Refuses values that are not finite and, if asked to, that cannot be a CT's HU.

    Raises:
        InputError: as :func:`check_finite`, :func:`check_hounsfield` and :func:`check_plausible`.
    """
    check_finite(values, source)
    if check_hu:
        check_hounsfield(values, source)
        check_plausible(values, source)


def check_finite(values: np.ndarray, source: object) -> None:
    """Refuses NaN and infinite values.

    Raises:
        InputError: with their number.
    """
    if np.asarray(values).dtype.kind in "iu":  # which hold none, and need no look at every voxel
        return
    bad = int(np.size(values) - np.isfinite(values).sum())
    if bad:
        raise InputError(
            source, f"has {bad} NaN or infinite values.", "Replace them (air is -1000 HU) and save it again."
        )


def check_hounsfield(values: np.ndarray, source: object) -> None:
    """Refuses intensities that cannot be Hounsfield units.

    CT shows air far below zero and soft tissue about zero; volumes in [0, 1], in attenuation, in raw stored values
    with an offset, or in other units do not.

    Raises:
        InputError: with the range that was found.
    """
    low, high = float(values.min()), float(values.max())
    remedy = "Convert it to HU (air -1000, water 0), or set check_hu to false if it is."
    if low < _MOST_NEGATIVE_HU and low > -32769.0 and high <= _MOST_POSITIVE_HU:
        # Some scanners mark what lies outside their field of view with the smallest integers.
        inside = values[values >= _MOST_NEGATIVE_HU]
        low = float(inside.min()) if inside.size else low
    if low < _MOST_NEGATIVE_HU or high > _MOST_POSITIVE_HU:
        raise InputError(source, f"has values from {low:.6g} to {high:.6g}, which are not HU.", remedy)
    if low > -200.0:
        raise InputError(source, f"has values from {low:.6g} to {high:.6g}: no air, so these are not HU.", remedy)
    if high < -200.0:
        raise InputError(source, f"has values from {low:.6g} to {high:.6g}: nothing but air.", remedy)


def check_plausible(values: np.ndarray, source: object) -> None:
    """Refuses values that lie within the range of HU, but are those of no body: swapped bytes, or noise.

    Args:
        values: [i, j, k] HU.
        source: what they were read from, for the message.

    Raises:
        InputError: with what was found.
    """
    block = values[tuple(slice((n - min(n, _SAMPLES)) // 2, (n + min(n, _SAMPLES)) // 2) for n in values.shape)]
    block = block.astype(np.float32)
    inside = block[block > values.min()]  # without padding
    beyond = float(np.mean((inside < _BODY_HU[0]) | (inside > _BODY_HU[1]))) if inside.size else 0.0
    if beyond > _MOST_BEYOND:
        raise InputError(
            source,
            f"has {100 * beyond:.0f} % of its voxels below {_BODY_HU[0]:.0f} or above {_BODY_HU[1]:.0f}.",
            "Save it again if its bytes are in the wrong order, or set check_hu to false if it is HU.",
        )
    spread = float(np.abs(block - np.median(block)).mean())
    rough = min(float(np.abs(np.diff(block, axis=axis)).mean()) for axis in range(3))
    if spread > 0 and rough > _ROUGHEST * spread:
        raise InputError(
            source,
            "has neighbouring voxels that have nothing to do with each other, as noise has, or a wrong size.",
            "Correct its sizes, or set check_hu to false if it is HU.",
        )

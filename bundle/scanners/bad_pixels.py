"""Defective pixels: finding, checking and filling them in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bundle.errors import InputError
from bundle.optional import require

__all__ = ["detector_image", "find_bad_pixels", "good_pixels", "inpainting", "pixels_without_counts"]

_LOCAL_PIXELS = 5
_LEAST_RELATIVE_SIGMA = 5e-3  # even without noise, borders and slopes differ from their median


def find_bad_pixels(flat: np.ndarray, dark: np.ndarray | float | None = None, threshold: float = 8.0) -> np.ndarray:
    """Finds dead, hot and badly scaled pixels in an open-field image.

    A pixel is bad if flat - dark is not positive, or differs from the median of its 5 x 5 neighbours by more than
    ``threshold`` robust standard deviations (1.4826 times the median absolute one, at least 0.5 %) of that relative
    difference over the image. Smaller ones are a matter of gain, which the open field takes out. Defects more than
    two pixels wide may be taken for the normal state.

    Args:
        flat: [v, u] counts without an object, the mean of many images at best.
        dark: counts without X-rays, [v, u] or one number.
        threshold: robust standard deviations.

    Returns:
        [v, u] bool, true where bad.

    Raises:
        InputError: when shapes disagree, the threshold is not positive, or every pixel is bad.
    """
    flat = np.asarray(flat, dtype=np.float64)
    if flat.ndim != 2:
        raise InputError("flat", f"has the shape {flat.shape}.", "Give one image as (v, u).")
    if not threshold > 0:
        raise InputError("threshold", f"is {threshold}.", "Give a positive number of standard deviations.")
    offset = 0.0 if dark is None else detector_image("dark", dark, flat.shape, np.ones(flat.shape, bool))
    signal = flat - offset
    dead = ~(np.isfinite(signal) & (signal > 0))
    if dead.all():
        raise InputError("flat", "is nowhere above dark.", "Give an image of the open field, and dark without X-rays.")
    filters = require("scipy.ndimage", "scipy", "finding bad pixels")
    local = filters.median_filter(np.where(dead, 0.0, signal), _LOCAL_PIXELS, mode="reflect")
    relative = signal / np.where(local > 0, local, np.inf) - 1
    alive = relative[~dead & (local > 0)]
    # A live pixel among dead ones has no normal neighbour to be judged by.
    sigma = 1.4826 * float(np.median(np.abs(alive - np.median(alive)))) if alive.size else 0.0
    return dead | (np.abs(relative) > threshold * max(sigma, _LEAST_RELATIVE_SIGMA))


def pixels_without_counts(
    counts: np.ndarray, dark: np.ndarray | float | None = None, minimum_counts: float = 1.0
) -> np.ndarray:
    """Finds pixels that no view has counts in: dead ones, or those that something covers in every view.

    Args:
        counts: [view, v, u] raw counts.
        dark: counts without X-rays, [v, u] or one number.
        minimum_counts: counts - dark up to which there are none.

    Returns:
        [v, u] bool, true without counts; false everywhere for a single view, where the object may be opaque.
    """
    if len(counts) < 2:
        return np.zeros(counts.shape[1:], bool)
    brightest = np.max(counts, axis=0)
    return ~(brightest - (0.0 if dark is None else dark) > minimum_counts)


def good_pixels(bad_pixels: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    """[v, u] bool, true where a pixel is not marked bad.

    Raises:
        InputError: when the marks are no truth values of the detector's shape, or mark every pixel.
    """
    bad = np.zeros(shape, bool) if bad_pixels is None else np.asarray(bad_pixels)
    if bad.dtype != bool or bad.shape != shape:
        raise InputError(
            "bad_pixels",
            f"is {bad.dtype} of the shape {bad.shape}; the detector is {shape} (v, u).",
            "Give one truth value per pixel, true where it is bad.",
        )
    if bad.all():
        raise InputError("bad_pixels", "marks every pixel.", "Mark bad pixels as true and good ones as false.")
    return ~bad


def detector_image(name: str, values: np.ndarray | float, shape: tuple[int, ...], good: np.ndarray) -> np.ndarray:
    """[v, u] float64 image from one or from a number.

    Raises:
        InputError: when it has another shape, or is not finite in good pixels.
    """
    image = np.asarray(values, dtype=np.float64)
    if image.shape not in ((), shape):
        raise InputError(name, f"has the shape {image.shape}.", f"Give an image of the detector's {shape} (v, u).")
    image = np.broadcast_to(image, shape)
    if not np.isfinite(image[good]).all():
        raise InputError(name, "has NaN or infinite values.", "Mark those pixels in bad_pixels.")
    return image


def inpainting(bad: np.ndarray) -> Callable[[np.ndarray], None]:
    """Gives a function that fills the bad pixels of a [v, u] image in place.

    Each bad pixel becomes the mean of its four neighbours, bad ones included (the discrete Laplace equation with the
    good pixels as its boundary). A plane fills its gaps exactly, however large, unless a gap reaches the border, where
    the slope along it is lost.
    """
    sparse = require("scipy.sparse", "scipy", "filling in bad pixels")
    linalg = require("scipy.sparse.linalg", "scipy", "filling in bad pixels")
    number = np.arange(bad.size).reshape(bad.shape)
    pairs = [(number[:-1], number[1:]), (number[:, :-1], number[:, 1:])]
    one = np.concatenate([np.concatenate([a.ravel(), b.ravel()]) for a, b in pairs])
    other = np.concatenate([np.concatenate([b.ravel(), a.ravel()]) for a, b in pairs])
    marked = bad.ravel()
    one, other = one[marked[one]], other[marked[one]]
    row = np.cumsum(marked) - 1
    count = int(marked.sum())
    inside = marked[other]
    neighbours = np.bincount(row[one], minlength=count).astype(np.float64)
    between = sparse.csc_array((np.ones(inside.sum()), (row[one[inside]], row[other[inside]])), (count, count))
    solve = linalg.splu((sparse.diags_array(neighbours) - between).tocsc()).solve
    edge, target = other[~inside], row[one[~inside]]

    def fill(image: np.ndarray) -> None:
        image[bad] = solve(np.bincount(target, weights=image.ravel()[edge], minlength=count))

    return fill

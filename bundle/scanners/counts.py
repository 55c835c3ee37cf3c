"""From a detector's raw counts to line integrals.

p = -ln((counts - dark) / (unattenuated - dark)), where the unattenuated counts come from a number, from an open-field
image, or from a part of each view that sees only air. Scatter and beam hardening stay in p.

Detector lag is left alone: the afterglow of earlier views can only be taken out with the panel's own decay constants.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from bundle.errors import InputError
from bundle.physics.line_integrals import GO_ON
from bundle.scanners.bad_pixels import detector_image, good_pixels, inpainting, pixels_without_counts

__all__ = ["counts_to_attenuation", "elekta_counts"]

_TOLERATED_FRACTION = 1e-3  # of pixels that may break a rule: particles and defects nobody marked
_TOLERATED_TRANSMISSION = 1.05
_LEAST_TRANSMISSION = 1e-3  # of the brightest pixel
_NOISE_SIGMAS = 5.0
_LARGEST_CLIPPED_FRACTION = 0.01  # of pixels that hold the largest count
_UNATTENUATED = 0.01  # line integral of air without noise, at most
_LARGEST_ATTENUATION = 20.0  # 2e-9 of the photons: less than any detector counts


def counts_to_attenuation(
    counts: np.ndarray,
    i0: float | Sequence[float] | np.ndarray | None = None,
    flat: np.ndarray | None = None,
    dark: np.ndarray | float | None = None,
    bad_pixels: np.ndarray | None = None,
    air_region: tuple[int, int, int, int] | None = None,
    minimum_counts: float = 1.0,
    source: object = "projections",
    check_projections: bool = True,
) -> np.ndarray:
    """Converts raw counts to line integrals, p = -ln((counts - dark) / (unattenuated - dark)).

    What unattenuated means is said in exactly one of four ways, with D the dark counts:

    - ``i0``: that many counts, dark ones included, in every pixel;
    - ``flat``: the open-field image, taken with the exposure of the views;
    - ``air_region``: the median of (counts - D) in it, for each view;
    - ``flat`` and ``air_region``: (flat - D) times the median of (counts - D) / (flat - D) in the region, for each
      view, which takes out fluctuations of the tube's output.

    Args:
        counts: [view, v, u] raw counts, proportional to the intensity.
        i0: unattenuated counts, one number or [view].
        flat: [v, u] counts without an object, the mean of many images at best.
        dark: counts without X-rays, [v, u] or one number; none if the scanner has taken them off.
        bad_pixels: [v, u], true where the detector is defective; filled in after the logarithm.
        air_region: pixels (v0, v1, u0, u1), v0 <= v < v1 and u0 <= u < u1, that see only air in every view.
        minimum_counts: least value of counts - D before the logarithm.
        source: what to name in messages.
        check_projections: refuse counts that are probably a damaged scan's, see below.

    Returns:
        [view, v, u] float32 line integrals, without unit.

    Raises:
        InputError: when shapes disagree, what is unattenuated is not said exactly once, counts are negative, not
            finite or already log-transformed; when, among pixels that are not marked bad, flat or I0 is not above
            dark, more than 0.1 % of all pixels lie more than 5 sqrt(D + 1) below dark or have a transmission above
            1.05 + 5 / sqrt(unattenuated), the brightest one has less than 0.001, or more than half of a view is at or
            below minimum_counts; and with check_projections, when more than 0.1 % of them or a whole row or column
            have no counts in any view, or more than 1 % of all are at the detector's ceiling.
    """
    counts = np.asarray(counts)
    if counts.ndim != 3 or 0 in counts.shape:
        raise InputError(source, f"has the shape {counts.shape}.", "Give counts as (view, v, u).")
    views, shape = counts.shape[0], counts.shape[1:]
    if not minimum_counts > 0:
        raise InputError("minimum_counts", f"is {minimum_counts}.", "Give a positive number.")
    good = good_pixels(bad_pixels, shape)
    _check_counts(counts, good, source)
    offset = np.zeros(shape) if dark is None else detector_image("dark", dark, shape, good)
    open_field = _unattenuated(views, offset, good, i0, flat, air_region)
    fill = None if good.all() else inpainting(~good)

    attenuation = np.empty(counts.shape, np.float32)
    below_dark, too_bright, brightest = 0, 0, 0.0
    for view in range(views):
        signal = counts[view] - offset
        unattenuated = open_field(view, signal)
        below_dark += int(np.count_nonzero((signal < -_NOISE_SIGMAS * np.sqrt(offset.clip(0) + 1)) & good))
        starved = np.count_nonzero((signal <= minimum_counts) & good)
        if 2 * starved > np.count_nonzero(good):
            raise InputError(
                source,
                f"has no more than {minimum_counts:g} counts in {100 * starved / np.count_nonzero(good):.0f} % of view "
                f"{view} (photon starvation).",
                "Check dark, leave the view out, or lower minimum_counts if the values are scaled.",
            )
        transmission = np.where(good, signal.clip(minimum_counts) / unattenuated, 1.0)
        limit = _TOLERATED_TRANSMISSION + _NOISE_SIGMAS / np.sqrt(unattenuated)
        too_bright += int(np.count_nonzero((transmission > limit) & good))
        brightest = max(brightest, float(transmission[good].max()))
        line_integrals = -np.log(transmission)
        if fill is not None:
            fill(line_integrals)
        attenuation[view] = line_integrals

    tolerated = _TOLERATED_FRACTION * views * np.count_nonzero(good)
    if below_dark > tolerated:
        raise InputError("dark", f"is above the counts in {below_dark} pixels.", "Give the dark image of this scan.")
    if too_bright > tolerated:
        raise InputError(
            source,
            f"has a transmission above {_TOLERATED_TRANSMISSION} in {too_bright} pixels, up to {brightest:.4g}.",
            "Check that i0, flat or air_region belong to these views and their exposure.",
        )
    if brightest < _LEAST_TRANSMISSION:
        raise InputError(
            source,
            f"is nowhere brighter than {brightest:.2g} of the unattenuated counts.",
            "Check the scale of i0 or flat, and that the values are not log-transformed already.",
        )
    if check_projections:
        _check_dead(pixels_without_counts(counts, offset, minimum_counts) & good, good, source)
        _check_ceiling(counts, good, attenuation, i0 is not None, source)
    return attenuation


def elekta_counts(stored: np.ndarray) -> np.ndarray:
    """Counts of Elekta's .his images, which hold 65536 - counts.

    0 and 65535 both become 65535, as in RTK (ElektaSynergyRawLookupTableImageFilter). Other makers' .his images hold
    counts and need nothing.

    Args:
        stored: values as in the file, any shape.

    Returns:
        float32 counts of the same shape.

    Raises:
        InputError: when values are no 16-bit numbers.
    """
    stored = np.asarray(stored)
    if stored.size and not (stored.min() >= 0 and stored.max() <= 65535):
        raise InputError("stored", f"has values from {stored.min():g} to {stored.max():g}.", "Give 16-bit values.")
    counts = np.float32(65536) - stored.astype(np.float32)
    counts[(stored == 0) | (stored == 65535)] = 65535
    return counts


def _check_counts(counts: np.ndarray, good: np.ndarray, source: object) -> None:
    """Refuses values that are no counts, one view at a time to save memory."""
    least, most = np.inf, -np.inf
    sides = 0.0
    for view in counts:
        values = view[good]
        if not np.isfinite(values).all():
            raise InputError(source, "has NaN or infinite values.", "Mark those pixels in bad_pixels.")
        least, most = min(least, values.min()), max(most, values.max())
        edge = max(1, view.shape[1] // 20)
        for columns in (slice(0, edge), slice(-edge, None)):
            side = view[:, columns][good[:, columns]]
            sides = max(sides, float(np.median(side)) if side.size else 0.0)
    # Line integrals are near zero on both sides, where intensities are highest.
    if counts.dtype.kind == "f" and most < _LARGEST_ATTENUATION and sides < 0.1 * most and least > -1.0:
        raise InputError(
            source,
            f"reaches only {most:.4g} and is near zero at the sides: it is log-transformed already.",
            "Use it as it is.",
        )
    if least < 0:
        raise InputError(source, f"has negative counts, down to {least:.6g}.", "Give raw counts, before any offset.")


def _check_dead(dead: np.ndarray, good: np.ndarray, source: object) -> None:
    """Refuses lines and many pixels without counts, which become dense where nothing is."""
    lines = [
        f"{name} {line}"
        for axis, name in ((1, "row"), (0, "column"))
        for line in np.flatnonzero((dead | ~good).all(axis=axis) & dead.any(axis=axis))
    ]
    count = int(np.count_nonzero(dead))
    if lines or count > _TOLERATED_FRACTION * np.count_nonzero(good):
        raise InputError(
            source,
            f"has {count} pixels without counts in any view{f' ({lines[0]})' if lines else ''}, so they are dead.",
            f'Mark them in bad_pixels, or look for them with bad_pixels "find", {GO_ON} the object hides them.',
        )


def _check_ceiling(
    counts: np.ndarray,
    good: np.ndarray,
    attenuation: np.ndarray,
    air_is_stated: bool,
    source: object,
) -> None:
    """Refuses counts that many pixels share as their largest: the detector counts no further.

    Whole numbers without noise are the same wherever there is air, too, but there their attenuation is zero. A full
    scale of bits is believed to be air only where I0 is stated, not measured with the same detector.
    """
    ceiling = max(float(view[good].max()) for view in counts)
    may_be_air = air_is_stated or not math.log2(ceiling + 1).is_integer()
    clipped = whole = 0
    for view, image in enumerate(counts):
        at_ceiling = (image == ceiling) & good
        if may_be_air:
            at_ceiling &= np.abs(attenuation[view]) > _UNATTENUATED
        clipped += int(np.count_nonzero(at_ceiling))
        whole += int(np.count_nonzero((image == np.floor(image)) & good))
    total = len(counts) * np.count_nonzero(good)
    if whole == total and _LARGEST_CLIPPED_FRACTION * total < clipped < total:
        raise InputError(
            source,
            f"has {ceiling:g} counts, its largest, in {100 * clipped / total:.0f} % of its pixels: the detector is "
            "saturated.",
            f"Take the scan with less exposure, {GO_ON} what is cut off does not matter.",
        )


def _unattenuated(
    views: int,
    offset: np.ndarray,
    good: np.ndarray,
    i0: float | Sequence[float] | np.ndarray | None,
    flat: np.ndarray | None,
    air_region: tuple[int, int, int, int] | None,
) -> Callable[[int, np.ndarray], np.ndarray]:
    """Gives a function from a view and its counts - dark to [v, u] unattenuated counts - dark, positive everywhere."""
    if (i0 is None) == (flat is None and air_region is None):
        raise InputError(
            "i0",
            "is missing, as are flat and air_region." if i0 is None else "is given beside flat or air_region.",
            "Say once what unattenuated means: by i0, by flat, by air_region, or by flat with air_region.",
        )
    if i0 is not None:
        numbers = np.asarray(i0, dtype=np.float64)
        if numbers.shape not in ((), (views,)) or not np.isfinite(numbers).all():
            raise InputError(
                "i0", f"has the shape {numbers.shape} for {views} views.", "Give one number, or one a view."
            )
        if numbers.min() <= offset[good].max():
            raise InputError("i0", f"is {numbers.min():g}, not above dark.", "Give the counts in air, dark included.")
        per_view = np.broadcast_to(numbers, (views,))
        return lambda view, signal: np.where(good, per_view[view] - offset, 1.0)

    field = np.ones(offset.shape)
    if flat is not None:
        if np.ndim(flat) != 2:
            raise InputError(
                "flat", f"has the shape {np.shape(flat)}.", "Give one image as (v, u), or i0 for a number."
            )
        field = detector_image("flat", flat, offset.shape, good) - offset
        dead = np.count_nonzero(~(field > 0) & good)
        if dead:
            exchanged = 2 * dead > np.count_nonzero(good)
            raise InputError(
                "flat",
                f"is not above dark in {dead} pixels that are not marked bad.",
                "Are flat and dark exchanged?" if exchanged else "Mark them: find_bad_pixels.",
            )
        field = np.where(good, field, 1.0)
    if air_region is None:
        return lambda view, signal: field
    window = _window(air_region, offset.shape)
    if not good[window].any():
        raise InputError("air_region", "has only bad pixels.", "Choose another part of the detector.")

    def scaled(view: int, signal: np.ndarray) -> np.ndarray:
        level = float(np.median((signal[window] / field[window])[good[window]]))
        if not level > 0:
            raise InputError("air_region", f"has no counts in view {view}.", "Choose a part that always sees only air.")
        return field * level

    return scaled


def _window(region: tuple[int, int, int, int], shape: tuple[int, ...]) -> tuple[slice, slice]:
    whole = len(region) == 4 and all(float(edge).is_integer() for edge in region)
    if whole:
        v0, v1, u0, u1 = (int(edge) for edge in region)
        if 0 <= v0 < v1 <= shape[0] and 0 <= u0 < u1 <= shape[1]:
            return slice(v0, v1), slice(u0, u1)
    raise InputError(
        "air_region",
        f"is {tuple(region)}; the detector has {shape} pixels (v, u).",
        "Give whole numbers (v0, v1, u0, u1) inside it, v0 < v1 and u0 < u1.",
    )

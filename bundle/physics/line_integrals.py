"""Telling a scan's line integrals from what only looks like them: wrong signs, wrong air, lost and repeated views.

Line integrals of attenuation are zero in air and positive elsewhere, every view differs from every other, and a
detector's pixels see something else in each. What breaks that can still be right in rare cases, so that every message
names the setting that goes on: check_projections.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np

from bundle.errors import InputError

__all__ = ["GO_ON", "check_line_integrals"]

GO_ON = "or set check_projections to false if"
"""Beginning of the end of remedies: the setting that accepts what is suspected, and when to."""

_LEAST_MEAN = -0.05  # of a view; noise in air averages out
_LARGEST_AIR = 0.3  # of line integrals in air: I0 a third too large or too small
_AIR_QUANTILES = (0.01, 0.05, 0.1)  # of all values: less air is not noticed
_AIR_SPREAD = 0.1  # between them, with noise; bodies that hide all air have 0.15 and more
_MOST_SAMPLED = 2**20
_LINE_JUMP = 0.1  # between a line that never changes and its neighbours
_SAME = 1e-3  # part of a view's largest value by which it may differ from its mirror image, or its opposite
_SAME_PLACE = 1e-3  # part of the distance from the isocentre


def check_line_integrals(attenuation: np.ndarray, source_mm: np.ndarray, source: object) -> None:
    """Refuses values that are probably no scan's line integrals.

    Args:
        attenuation: [view, v, u] p = -ln(I / I0), without unit.
        source_mm: [view, 3] source positions.
        source: file or argument to name in the message.

    Raises:
        InputError: when a view holds the same value everywhere, is negative on average, or equals another one that
            was taken from elsewhere; when air is not near zero; when a row or a column never changes.
    """
    _check_constant(attenuation, source)
    _check_sign(attenuation, source)
    _check_air(attenuation, source)
    _check_repeated(attenuation, source_mm, source)
    _check_lines(attenuation, source)


def _check_constant(values: np.ndarray, source: object) -> None:
    constant = [view for view, image in enumerate(values) if image.size > 1 and image.min() == image.max()]
    if constant:
        which = "every view" if len(constant) == len(values) else f"view {constant[0]} (the first is 0)"
        raise InputError(
            source,
            f"holds nothing but {values[constant[0]].flat[0]:g} in {which}.",
            f"Give the view that is missing or leave it out, {GO_ON} it is right.",
        )


def _check_sign(values: np.ndarray, source: object) -> None:
    means = values.mean(axis=(1, 2), dtype=np.float64)
    negative = np.flatnonzero(means < _LEAST_MEAN)
    if negative.size:
        view = int(negative[0])
        share = 100 * np.count_nonzero(values[view] < 0) / values[view].size
        raise InputError(
            source,
            f"has line integrals below zero in {share:.0f} % of view {view}, {means[view]:.3g} on average: is the "
            "minus of -ln(I / I0) missing, or I0 too small?",
            f"Give p = -ln(I / I0), {GO_ON} it is right.",
        )


def _check_air(values: np.ndarray, source: object) -> None:
    """Looks for many values that are the same and the least: those of air, unless the object hides it everywhere."""
    sample = values.reshape(-1)
    if sample.size > _MOST_SAMPLED:
        sample = sample[np.random.default_rng(0).integers(sample.size, size=_MOST_SAMPLED)]
    low, level, high = (float(value) for value in np.quantile(sample, _AIR_QUANTILES))
    if abs(level) > _LARGEST_AIR and high - low < _AIR_SPREAD:
        raise InputError(
            source,
            f"has line integrals of {level:.2f} where they are least, where air has 0: is I0 "
            f"{math.exp(abs(level)):.3g} times too {'large' if level > 0 else 'small'}?",
            f"Correct i0 or flat, {GO_ON} no ray passes by the object.",
        )


def _check_repeated(values: np.ndarray, source_mm: np.ndarray, source: object) -> None:
    first: dict[bytes, int] = {}
    for view, image in enumerate(values):
        other = first.setdefault(hashlib.sha256(np.ascontiguousarray(image).tobytes()).digest(), view)
        apart = float(np.linalg.norm(source_mm[view] - source_mm[other]))
        if apart < _SAME_PLACE * float(np.linalg.norm(source_mm[view])):
            continue
        # Views of objects that look the same from several sides are mirror images of themselves, but for opposite ones.
        if _is_same(image, image[:, ::-1]) or _opposite_views_are_same(values, source_mm, view, other):
            continue
        raise InputError(
            source,
            f"holds the same image in the views {other} and {view}, {apart:.0f} mm apart.",
            f"Give each view its own image, {GO_ON} it is right.",
        )


def _opposite_views_are_same(values: np.ndarray, source_mm: np.ndarray, view: int, other: int) -> bool:
    """Whether two views are opposite, and all such pairs of the scan are alike, as those of an ellipse are."""
    pairs = []
    for number, position in enumerate(source_mm):
        distances = np.linalg.norm(source_mm - position * [-1, -1, 1], axis=1)
        nearest = int(distances.argmin())
        if distances[nearest] < _SAME_PLACE * float(np.linalg.norm(position)):
            pairs.append({number, nearest})
    if {view, other} not in pairs or all(pair == {view, other} for pair in pairs):
        return False
    return all(_is_same(*(values[number] for number in pair)) for pair in pairs)


def _is_same(image: np.ndarray, other: np.ndarray) -> bool:
    return np.allclose(image, other, rtol=0, atol=_SAME * float(np.abs(image).max()))


def _check_lines(values: np.ndarray, source: object) -> None:
    """Looks for rows and columns that never change among others that do."""
    if len(values) < 2:
        return
    still = np.ones(values.shape[1:], bool)
    for image in values[1:]:
        still &= image == values[0]
    for axis, name in ((0, "row"), (1, "column")):
        lines = still.all(axis=1 - axis)
        moving = np.flatnonzero(~lines)
        for line in np.flatnonzero(lines):
            before, after = moving[moving < line], moving[moving > line]
            if not before.size or not after.size:
                continue  # air above, below or beside the object
            own, *others = (float(values.take(n, axis + 1).mean()) for n in (line, before[-1], after[0]))
            if min(abs(own - other) for other in others) > _LINE_JUMP:
                raise InputError(
                    source,
                    f"has the {name} {line} that never changes from view to view, as a dead one of the detector.",
                    f"Mark it in bad_pixels when the counts are imported, {GO_ON} it is right.",
                )

"""Sampling with the maximum over the views, and its gradient, as Triton kernels; imported only where Triton is there.

A program has a block of points and channels of one item. Maps are channels last: neighbouring lanes read neighbouring
channels of the same pixel.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["scatter", "view_maximum"]


@triton.jit
def _corner(coordinate, size, CORNER_ALIGNED: tl.constexpr):  # noqa: N803
    """Lower pixel of a detector coordinate along one axis, and the weights of it and the next; zero outside."""
    if CORNER_ALIGNED:
        place = (coordinate + 1.0) * 0.5 * (size - 1)
    else:
        place = ((coordinate + 1.0) * size - 1.0) * 0.5
    inside = (place > -1.0) & (place < size)  # a coordinate that is not a number is outside, too
    place = tl.where(inside, place, -1.0)
    low = tl.floor(place)
    part = place - low
    low = low.to(tl.int32)
    return low, tl.where(low >= 0, 1.0 - part, 0.0), tl.where(inside & (low + 1 < size), part, 0.0)


@triton.jit
def view_maximum(
    maps, coordinates, used, out, winner, views, points, all_views, rows, columns, channels,
    CORNER_ALIGNED: tl.constexpr, POINTS: tl.constexpr, CHANNELS: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """Largest samples [B, points, C] of maps [B, all views, V, U, C] over the used ones of the first views."""
    item = tl.program_id(2).to(tl.int64)
    point = tl.program_id(0) * POINTS + tl.arange(0, POINTS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    exists = point < points
    mask = exists[:, None] & (channel < channels)[None, :]
    best = tl.full([POINTS, CHANNELS], float("-inf"), dtype=tl.float32)
    view_of_best = tl.full([POINTS, CHANNELS], 0, dtype=tl.int32) + views
    for view in range(views):
        if tl.load(used + item * views + view) != 0:
            place = coordinates + ((item * views + view) * points + point) * 2
            y, below, above = _corner(tl.load(place, mask=exists, other=-9.0), rows, CORNER_ALIGNED)
            x, left, right = _corner(tl.load(place + 1, mask=exists, other=-9.0), columns, CORNER_ALIGNED)
            pixel = maps + (((item * all_views + view) * rows + y) * columns + x)[:, None] * channels + channel[None, :]
            w = below * left
            value = w[:, None] * tl.load(pixel, mask=mask & (w != 0.0)[:, None], other=0.0).to(tl.float32)
            w = below * right
            value += w[:, None] * tl.load(pixel + channels, mask=mask & (w != 0.0)[:, None], other=0.0).to(tl.float32)
            pixel += columns * channels
            w = above * left
            value += w[:, None] * tl.load(pixel, mask=mask & (w != 0.0)[:, None], other=0.0).to(tl.float32)
            w = above * right
            value += w[:, None] * tl.load(pixel + channels, mask=mask & (w != 0.0)[:, None], other=0.0).to(tl.float32)
            larger = (value > best) | (value != value)  # what is not a number stays
            best = tl.where(larger, value, best)
            view_of_best = tl.where(larger, view, view_of_best)
    target = (item * points + point)[:, None] * channels + channel[None, :]
    tl.store(out + target, best, mask=mask)
    tl.store(winner + target, view_of_best.to(winner.dtype.element_ty), mask=mask)


@triton.jit
def scatter(
    gradient, winner, coordinates, out, views, points, all_views, rows, columns, channels,
    CORNER_ALIGNED: tl.constexpr, POINTS: tl.constexpr, CHANNELS: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """Adds the gradient [B, points, C] of view_maximum to the winners' maps, by atomic additions."""
    item = tl.program_id(2).to(tl.int64)
    point = tl.program_id(0) * POINTS + tl.arange(0, POINTS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    source = (item * points + point)[:, None] * channels + channel[None, :]
    mask = (point < points)[:, None] & (channel < channels)[None, :]
    view = tl.load(winner + source, mask=mask, other=0).to(tl.int32)
    mask = mask & (view < views)
    value = tl.load(gradient + source, mask=mask, other=0.0)
    place = coordinates + ((item * views + view) * points + point[:, None]) * 2
    y, below, above = _corner(tl.load(place, mask=mask, other=-9.0), rows, CORNER_ALIGNED)
    x, left, right = _corner(tl.load(place + 1, mask=mask, other=-9.0), columns, CORNER_ALIGNED)
    pixel = out + (((item * all_views + view) * rows + y) * columns + x) * channels + channel[None, :]
    w = below * left
    tl.atomic_add(pixel, w * value, mask=mask & (w != 0.0), sem="relaxed")
    w = below * right
    tl.atomic_add(pixel + channels, w * value, mask=mask & (w != 0.0), sem="relaxed")
    pixel += columns * channels
    w = above * left
    tl.atomic_add(pixel, w * value, mask=mask & (w != 0.0), sem="relaxed")
    w = above * right
    tl.atomic_add(pixel + channels, w * value, mask=mask & (w != 0.0), sem="relaxed")

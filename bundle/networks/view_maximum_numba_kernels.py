"""Sampling with the maximum over the views, and its gradient, in loops for Numba; imported only where that is there.

Maps are channels last, so that a sample is a few operations on whole vectors. All kernels are in this one file: Numba
does not notice changes of functions that are imported from others.
"""

from __future__ import annotations

import math

import numpy as np

from bundle.numba_compile import compile_kernel

__all__ = ["POINTS_PER_BLOCK", "scatter", "view_maximum"]


POINTS_PER_BLOCK = 32  # sampled in one view before the next, while its pixels and theirs are in the cache


@compile_kernel
def _corners(v, u, rows, columns, corner_aligned):
    """Bilinear interpolation at a detector coordinate (v, u).

    Args:
        v: row coordinate.
        u: column coordinate.
        rows: rows of the map.
        columns: columns of the map.
        corner_aligned: put -1 and 1 on the centres of the outer pixels instead of on their edges.

    Returns:
        Whether the point has a pixel inside the map; the flat indices of the pixels (lower, lower), (lower, upper),
        (upper, lower), (upper, upper) row and column, all inside the map; their weights, zero for those outside.
    """
    one, half, none = np.float32(1.0), np.float32(0.5), np.float32(0.0)
    if corner_aligned:
        y, x = (v + one) * half * np.float32(rows - 1), (u + one) * half * np.float32(columns - 1)
    else:
        y, x = ((v + one) * np.float32(rows) - one) * half, ((u + one) * np.float32(columns) - one) * half
    if not (y > -one and y < np.float32(rows) and x > -one and x < np.float32(columns)):  # nor is what is not a number
        return False, 0, 0, 0, 0, none, none, none, none
    low_y, low_x = np.int64(math.floor(y)), np.int64(math.floor(x))
    part_y, part_x = y - np.float32(low_y), x - np.float32(low_x)
    below = one - part_y if low_y >= 0 else none
    above = part_y if low_y + 1 < rows else none
    left = one - part_x if low_x >= 0 else none
    right = part_x if low_x + 1 < columns else none
    low_row, high_row = max(low_y, 0) * columns, min(low_y + 1, rows - 1) * columns
    low_x, high_x = max(low_x, 0), min(low_x + 1, columns - 1)
    return (
        True, low_row + low_x, low_row + high_x, high_row + low_x, high_row + high_x,
        below * left, below * right, above * left, above * right,
    )  # fmt: skip


@compile_kernel
def view_maximum(maps, coordinates, used, shape, corner_aligned, out, winner, first, last):
    """Largest sample over the views at the points of the blocks first to last, counted over all items.

    Arrays are flat, and indices unsigned: views of arrays are counted references, whose counters the threads would
    share, and indices that may be negative keep loops from being vectorised.

    Args:
        maps: flat [B, views, V, U, C] float32.
        coordinates: [B, m, points, 2] float32 (v, u) in the first m views.
        used: [B, m], nonzero for the views to use.
        shape: (views, V, U, C) of the maps.
        corner_aligned: see _corners.
        out: flat [B, points, C] float32; minus infinity where no view is used.
        winner: flat [B, points, C], the first view with the largest sample; m where no view is used.
        first: first block.
        last: end of the blocks; an item has ceil(points / POINTS_PER_BLOCK).
    """
    views, points = coordinates.shape[1], coordinates.shape[2]
    all_views, rows, columns, channels = shape
    zero, every_channel = np.float32(0.0), range(np.uint64(channels))
    blocks = -(-points // POINTS_PER_BLOCK)
    winners, sample = np.empty(POINTS_PER_BLOCK * channels, np.int32), np.empty(channels, np.float32)
    for index in range(first, last):
        item, start = index // blocks, index % blocks * POINTS_PER_BLOCK
        end = min(start + POINTS_PER_BLOCK, points)
        target = np.uint64((item * points + start) * channels)
        for n in range(np.uint64((end - start) * channels)):
            out[target + n] = -np.inf
            winners[n] = views
        for view in range(views):
            if used[item, view] == 0:
                continue
            pixels, this = (item * all_views + view) * rows * columns, np.int32(view)
            for point in range(start, end):
                v, u = coordinates[item, view, point, 0], coordinates[item, view, point, 1]
                inside, i, j, p, q, w_i, w_j, w_p, w_q = _corners(v, u, rows, columns, corner_aligned)
                local = np.uint64((point - start) * channels)
                best = target + local
                if inside:
                    a, b = np.uint64((pixels + i) * channels), np.uint64((pixels + j) * channels)
                    c, d = np.uint64((pixels + p) * channels), np.uint64((pixels + q) * channels)
                    # Two loops: the compiler vectorises only if few arrays must be proven not to overlap.
                    for n in every_channel:
                        sample[n] = w_i * maps[a + n] + w_j * maps[b + n] + w_p * maps[c + n] + w_q * maps[d + n]
                    for n in every_channel:
                        value, largest = sample[n], out[best + n]
                        larger = (value > largest) | (value != value)  # what is not a number stays
                        out[best + n] = value if larger else largest
                        winners[local + n] = this if larger else winners[local + n]
                else:
                    for n in every_channel:
                        larger = out[best + n] < zero
                        out[best + n] = zero if larger else out[best + n]
                        winners[local + n] = this if larger else winners[local + n]
        for n in range(np.uint64((end - start) * channels)):
            winner[target + n] = winners[n]


@compile_kernel
def scatter(gradient, winner, coordinates, shape, corner_aligned, out, first, last):
    """Adds the gradient of view_maximum to the maps of the views first to last, counted over all items.

    A view's map is written by one call alone, point after point, so that sums are the same in every run.

    Args:
        gradient: flat [B, points, C] float32.
        winner: flat [B, points, C] from view_maximum.
        coordinates: as there.
        shape: as there.
        corner_aligned: as there.
        out: flat [B, views, V, U, C] float32 to add to.
        first: first view, counted over the m views of all items.
        last: end of the views.
    """
    views, points = coordinates.shape[1], coordinates.shape[2]
    all_views, rows, columns, channels = shape
    zero, every_channel = np.float32(0.0), range(np.uint64(channels))
    share = np.empty(channels, np.float32)
    for index in range(first, last):
        item, view = index // views, index % views
        pixels = (item * all_views + view) * rows * columns
        for point in range(points):
            v, u = coordinates[item, view, point, 0], coordinates[item, view, point, 1]
            inside, i, j, p, q, w_i, w_j, w_p, w_q = _corners(v, u, rows, columns, corner_aligned)
            if not inside:
                continue
            source, won = np.uint64((item * points + point) * channels), 0
            for n in every_channel:
                won += winner[source + n] == view
            if won == 0:
                continue
            for n in every_channel:
                share[n] = gradient[source + n] if winner[source + n] == view else zero
            a, b = np.uint64((pixels + i) * channels), np.uint64((pixels + j) * channels)
            c, d = np.uint64((pixels + p) * channels), np.uint64((pixels + q) * channels)
            for n in every_channel:  # one by one, since at the map's edge two of them are the same
                out[a + n] += w_i * share[n]
            for n in every_channel:
                out[b + n] += w_j * share[n]
            for n in every_channel:
                out[c + n] += w_p * share[n]
            for n in every_channel:
                out[d + n] += w_q * share[n]

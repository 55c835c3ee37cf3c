"""Sampling of 2D features in loops for Numba, imported only where that is installed.

Features are channels last, so that a sample is a few operations on whole vectors, and detector columns are contiguous:
on a level gantry a row of voxels along z falls between two of them. All kernels are in this one file: Numba does not
notice changes of functions that are imported from others.
"""

from __future__ import annotations

import math

import numpy as np

from bundle.numba_compile import compile_kernel

__all__ = ["sample_rows"]


@compile_kernel
def _pixel(coordinate, size, corner_aligned):
    """Pixel index of a detector coordinate, -1 and 1 at the edges or, corner aligned, at the outer pixels' centres.

    All places beyond the pixels' reach become the first such place, -1.
    """
    if corner_aligned:
        index = (coordinate + 1.0) * 0.5 * (size - 1)
    else:
        index = ((coordinate + 1.0) * size - 1.0) * 0.5
    return index if -1.0 < index < size else -1.0


@compile_kernel
def _blend_columns(features, view, u, first, last, lines):
    """Blends the two detector columns around u in rows first to last into lines [rows + 2, C], row v at v + 1.

    Features are [views, U, V, C], and zero outside the detector.
    """
    width, rows, channels = features.shape[1], features.shape[2], features.shape[3]
    below = math.floor(u)
    high = np.float32(u - below)
    low = np.float32(1.0) - high
    # A column outside the detector is read inside of it with weight zero.
    low = low if below >= 0 else np.float32(0.0)
    high = high if below + 1 < width else np.float32(0.0)
    left, right = max(below, 0), min(below + 1, width - 1)
    for v in range(first, last + 1):
        line = lines[v + 1]
        if 0 <= v < rows:
            here, beside = features[view, left, v], features[view, right, v]
            for c in range(channels):
                line[c] = low * here[c] + high * beside[c]
        else:
            for c in range(channels):
                line[c] = 0.0


@compile_kernel
def _sample_scale(features, view, constant, slope, zs, corner_aligned, places, lines, out, start, channel):
    """One row of voxels in one view's map, into out [points, C] from a point and a channel on; keeps the larger.

    Homogeneous detector coordinates (v, u, w) are constant + slope z. Where u and w do not depend on z, as on a level
    gantry, the row falls on one line between two detector columns, which are blended once for all voxels.
    """
    width, rows, channels = features.shape[1], features.shape[2], features.shape[3]
    level = slope[1] == 0.0 and slope[2] == 0.0
    first, last = rows, -1
    for i in range(len(zs)):
        w = constant[2] + slope[2] * zs[i]
        places[i] = _pixel((constant[0] + slope[0] * zs[i]) / w, rows, corner_aligned)
        row = math.floor(places[i])
        first, last = min(first, row), max(last, row + 1)
    if level:
        u = _pixel(constant[1] / constant[2], width, corner_aligned)
        _blend_columns(features, view, u, first, last, lines)
    for i in range(len(zs)):
        row = math.floor(places[i])
        if not level:
            w = constant[2] + slope[2] * zs[i]
            u = _pixel((constant[1] + slope[1] * zs[i]) / w, width, corner_aligned)
            _blend_columns(features, view, u, row, row + 1, lines)
        high = np.float32(places[i] - row)
        low = np.float32(1.0) - high
        # Whole vectors are taken out of the arrays first: indices that may be negative stop vectorisation.
        below, above, largest = lines[row + 1], lines[row + 2], out[start + i, channel : channel + channels]
        if view == 0:
            for c in range(channels):
                largest[c] = low * below[c] + high * above[c]
        else:
            for c in range(channels):
                value = low * below[c] + high * above[c]
                largest[c] = value if value > largest[c] else largest[c]


@compile_kernel
def sample_rows(maps, matrices, x, ys, zs, corner_aligned, out, first, last):
    """Largest features over the views at the voxels of rows first to last of a plane.

    Args:
        maps: tuple of [views, U_k, V_k, C_k] features.
        matrices: [views, 3, 4] in double precision.
        x: place of the plane.
        ys: [rows] places of the rows.
        zs: [Z] places of the voxels along a row.
        corner_aligned: how the maps are sampled.
        out: [rows Z, sum of C_k].
        first: first row.
        last: end of the rows.
    """
    places = np.empty(len(zs), np.float64)
    height, channels = 0, 0
    for features in maps:
        height, channels = max(height, features.shape[2]), max(channels, features.shape[3])
    lines = np.empty((height + 2, channels), np.float32)
    for row in range(first, last):
        for view in range(matrices.shape[0]):
            m = matrices[view]
            constant = (
                m[0, 0] * x + m[0, 1] * ys[row] + m[0, 3],
                m[1, 0] * x + m[1, 1] * ys[row] + m[1, 3],
                m[2, 0] * x + m[2, 1] * ys[row] + m[2, 3],
            )
            slope = (m[0, 2], m[1, 2], m[2, 2])
            channel = 0
            for features in maps:
                _sample_scale(
                    features, view, constant, slope, zs, corner_aligned,
                    places, lines, out, row * len(zs), channel,
                )  # fmt: skip
                channel += features.shape[3]

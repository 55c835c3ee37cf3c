"""Voxel-driven back-projection in loops for Numba to compile; imported only where Numba is installed."""

from __future__ import annotations

import math

import numba
import numpy as np

from bundle.projector.numba_kernels import PAD, inside

__all__ = ["accumulate"]

_compile = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})


@_compile
def _level_column(values, matrix, x, y, line, column):
    """Adds one view to a column of voxels along z when u and the depth are the same for all of them.

    The two nearest detector columns are blended into line first, which has zeros at both ends.
    """
    columns, rows = values.shape
    depth = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 3]
    u = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 3]) / depth
    start = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 3]) / depth
    step = matrix[0, 2] / depth
    begin, end = inside(start, step, rows, 0, len(column))
    if u <= -1.0 or u >= columns or begin >= end:
        return
    j = int(math.floor(u))
    near, far = values[max(j, 0)], values[min(j + 1, columns - 1)]
    scalars = np.empty(4, dtype=np.float32)
    scalars[0] = (1.0 - (u - j)) / depth**2 if j >= 0 else 0.0
    scalars[1] = (u - j) / depth**2 if j + 1 < columns else 0.0
    scalars[2], scalars[3] = start + PAD, step
    ends = (start + begin * step, start + (end - 1) * step)
    for v in range(max(int(min(ends)), 0), min(int(max(ends)) + 2, rows)):
        line[v + PAD] = scalars[0] * near[v] + scalars[1] * far[v]
    for z in range(begin, end):
        v = scalars[2] + np.float32(z) * scalars[3]
        k = np.int32(v)
        column[z] += line[k] + (v - np.float32(k)) * (line[k + 1] - line[k])


@_compile
def _column(values, matrix, x, y, column):
    """Adds one view to a column of voxels along z, each voxel projected by itself."""
    columns, rows = values.shape
    for z in range(len(column)):
        depth = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3]
        v = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3]) / depth
        u = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3]) / depth
        if v <= -1.0 or u <= -1.0 or v >= rows or u >= columns:
            continue
        k, j = int(math.floor(v)), int(math.floor(u))
        for n in range(max(k, 0), min(k + 2, rows)):
            for m in range(max(j, 0), min(j + 2, columns)):
                column[z] += (1.0 - abs(v - n)) * (1.0 - abs(u - m)) * values[m, n] / depth**2


@_compile
def accumulate(values, matrices, out, first, last):
    """Adds values [views, U, V], weighted by the depth, to the slices first to last along x of out [X, Y, Z]."""
    line = np.zeros(values.shape[2] + 2 * PAD, dtype=np.float32)
    for x in range(first, last):
        for view in range(len(values)):  # outside y, so that one view's rows stay in the cache
            matrix = matrices[view]
            tiny = 1e-12 * abs(matrix[0, 2])
            level = abs(matrix[1, 2]) <= tiny and abs(matrix[2, 2]) <= tiny
            for y in range(out.shape[1]):
                if level:
                    _level_column(values[view], matrix, x, y, line, out[x, y])
                else:
                    _column(values[view], matrix, x, y, out[x, y])

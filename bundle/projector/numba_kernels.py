"""Joseph's method and voxel-driven back-projection in loops for Numba, imported only where that is installed.

All kernels are in this one file: Numba does not notice changes of functions that are imported from others.

A kernel works on a range of detector columns or of slices, which is all that it writes to, and releases the
interpreter's lock: the caller runs several at once. Positions are voxel indices; see ScanRays.
"""

from __future__ import annotations

import math

import numpy as np

from bundle.numba_compile import compile_kernel

__all__ = ["back_project", "back_project_voxels", "project", "weigh"]

_PAD = 2  # zeros on both sides of a line of voxels, so that rounding at its ends cannot leave it


@compile_kernel
def _main_axis(x, y, z):
    """The axis along which a ray crosses most voxels."""
    if abs(x) >= abs(y) and abs(x) >= abs(z):
        return 0
    return 1 if abs(y) >= abs(z) else 2


@compile_kernel
def _row_range(view, u, axis, source, first_pixel, step_v, step_u, rows):
    """First and last + 1 of the rows, on a level gantry, whose rays have the given main axis, x or y."""
    along = first_pixel[view, axis] + u * step_u[view, axis] - source[view, axis]
    steepest = abs(along)
    z = first_pixel[view, 2] - source[view, 2]
    begin, end = 0, rows
    while begin < rows and abs(z + begin * step_v[view, 2]) > steepest:
        begin += 1
    while end > begin and abs(z + (end - 1) * step_v[view, 2]) > steepest:
        end -= 1
    return begin, end


@compile_kernel
def _level_axis(view, u, source, first_pixel, step_u):
    """Main axis, x or y, of a detector column of a level gantry, its steep rays aside."""
    x = first_pixel[view, 0] + u * step_u[view, 0] - source[view, 0]
    y = first_pixel[view, 1] + u * step_u[view, 1] - source[view, 1]
    return 0 if abs(x) >= abs(y) else 1


@compile_kernel
def _inside(start, step, size, begin, end):
    """Part of the indices v, begin to end, for which start + v * step is between -1 and size."""
    if step == 0.0:
        return (begin, end) if -1.0 < start < size else (begin, begin)
    low, high = (-1.0 - start) / step, (size - start) / step
    if low > high:
        low, high = high, low
    low = min(max(low, -1.0), end + 1.0)
    high = min(max(high, -1.0), end + 1.0)
    return max(begin, int(math.floor(low)) + 1), min(end, int(math.ceil(high)))


@compile_kernel
def _project_column(volume, view, u, axis, begin, end, source, first_pixel, step_v, step_u, line, total):
    """Sums over the slices along x or y for the rows begin to end of one detector column, into total."""
    other = 1 - axis
    size_other, size_z = volume.shape[other], volume.shape[2]
    along = first_pixel[view, axis] + u * step_u[view, axis] - source[view, axis]
    across = first_pixel[view, other] + u * step_u[view, other] - source[view, other]
    z_first = first_pixel[view, 2] - source[view, 2]
    pair = np.empty(4, dtype=np.float32)
    for i in range(volume.shape[axis]):
        t = (i - source[view, axis]) / along
        position = source[view, other] + t * across
        if position <= -1.0 or position >= size_other:
            continue
        start, step = source[view, 2] + t * z_first, t * step_v[view, 2]
        low, high = _inside(start, step, size_z, begin, end)
        if low >= high:
            continue
        j = int(math.floor(position))
        near, far = max(j, 0), min(j + 1, size_other - 1)
        pair[0] = (1.0 - (position - j)) if j >= 0 else 0.0
        pair[1] = (position - j) if j + 1 < size_other else 0.0
        pair[2], pair[3] = start + _PAD, step
        first = volume[i, near] if axis == 0 else volume[near, i]
        second = volume[i, far] if axis == 0 else volume[far, i]
        for z in range(size_z):
            line[z + _PAD] = pair[0] * first[z] + pair[1] * second[z]
        for v in range(low, high):
            z = pair[2] + np.float32(v) * pair[3]
            k = np.int32(z)
            total[v] += line[k] + (z - np.float32(k)) * (line[k + 1] - line[k])


@compile_kernel
def _ray_sum(volume, view, v, u, source, first_pixel, step_v, step_u):
    """Sum over the slices along the main axis of one ray, whatever its direction."""
    d = np.empty(3)
    for a in range(3):
        d[a] = first_pixel[view, a] + v * step_v[view, a] + u * step_u[view, a] - source[view, a]
    axis = _main_axis(d[0], d[1], d[2])
    first, second = (1 if axis == 0 else 0), (1 if axis == 2 else 2)
    total = 0.0
    for i in range(volume.shape[axis]):
        t = (i - source[view, axis]) / d[axis]
        a, b = source[view, first] + t * d[first], source[view, second] + t * d[second]
        if a <= -1.0 or b <= -1.0 or a >= volume.shape[first] or b >= volume.shape[second]:
            continue
        j, k = int(math.floor(a)), int(math.floor(b))
        for p in range(max(j, 0), min(j + 2, volume.shape[first])):
            for q in range(max(k, 0), min(k + 2, volume.shape[second])):
                weight = (1.0 - abs(a - p)) * (1.0 - abs(b - q))
                if axis == 0:
                    total += weight * volume[i, p, q]
                elif axis == 1:
                    total += weight * volume[p, i, q]
                else:
                    total += weight * volume[p, q, i]
    return total


@compile_kernel
def _length_per_slice(view, v, u, source, first_pixel, step_v, step_u, voxel_mm):
    """Millimetres of a ray between two slices along its main axis."""
    x = first_pixel[view, 0] + v * step_v[view, 0] + u * step_u[view, 0] - source[view, 0]
    y = first_pixel[view, 1] + v * step_v[view, 1] + u * step_u[view, 1] - source[view, 1]
    z = first_pixel[view, 2] + v * step_v[view, 2] + u * step_u[view, 2] - source[view, 2]
    length = math.sqrt((x * voxel_mm[0]) ** 2 + (y * voxel_mm[1]) ** 2 + (z * voxel_mm[2]) ** 2)
    return length / max(abs(x), abs(y), abs(z))


@compile_kernel
def project(volume, source, first_pixel, step_v, step_u, level, voxel_mm, out, first, last):
    """Projects [X, Y, Z] to the detector columns first to last, counted over all views, of out [views, V, U]."""
    rows, columns = out.shape[1:]
    line = np.zeros(volume.shape[2] + 2 * _PAD, dtype=np.float32)
    total = np.empty(rows, dtype=np.float32)
    for index in range(first, last):
        view, u = index // columns, index % columns
        total[:] = 0.0
        begin, end = 0, 0
        if level[view]:
            axis = _level_axis(view, u, source, first_pixel, step_u)
            begin, end = _row_range(view, u, axis, source, first_pixel, step_v, step_u, rows)
            _project_column(volume, view, u, axis, begin, end, source, first_pixel, step_v, step_u, line, total)
        for v in range(rows):
            if v < begin or v >= end:
                total[v] = _ray_sum(volume, view, v, u, source, first_pixel, step_v, step_u)
            out[view, v, u] = total[v] * _length_per_slice(view, v, u, source, first_pixel, step_v, step_u, voxel_mm)


@compile_kernel
def weigh(values, source, first_pixel, step_v, step_u, voxel_mm, out):
    """Multiplies values [views, V, U] by their rays' lengths per slice, into out [views, U, V]."""
    for view in range(len(values)):
        for u in range(values.shape[2]):
            for v in range(values.shape[1]):
                out[view, u, v] = values[view, v, u] * _length_per_slice(
                    view, v, u, source, first_pixel, step_v, step_u, voxel_mm
                )


@compile_kernel
def _spread_column(values, view, u, axis, i, begin, end, source, first_pixel, step_v, step_u, line, out):
    """Adds one detector column's rows begin to end to slice i along x or y: the transpose of _project_column."""
    other = 1 - axis
    size_other, size_z = out.shape[other], out.shape[2]
    along = first_pixel[view, axis] + u * step_u[view, axis] - source[view, axis]
    across = first_pixel[view, other] + u * step_u[view, other] - source[view, other]
    t = (i - source[view, axis]) / along
    position = source[view, other] + t * across
    if position <= -1.0 or position >= size_other:
        return
    start, step = source[view, 2] + t * (first_pixel[view, 2] - source[view, 2]), t * step_v[view, 2]
    low, high = _inside(start, step, size_z, begin, end)
    if low >= high:
        return
    pair = np.empty(4, dtype=np.float32)
    j = int(math.floor(position))
    pair[0], pair[1] = 1.0 - (position - j), position - j
    pair[2], pair[3] = start + _PAD, step
    line[:] = 0.0
    for v in range(low, high):
        z = pair[2] + np.float32(v) * pair[3]
        k = np.int32(z)
        share = (z - np.float32(k)) * values[v]
        line[k] += values[v] - share
        line[k + 1] += share
    for n in range(2):
        if 0 <= j + n < size_other:
            column = out[i, j + n] if axis == 0 else out[j + n, i]
            for z in range(size_z):
                column[z] += pair[n] * line[z + _PAD]


@compile_kernel
def _spread_ray(value, view, v, u, axis, i, source, first_pixel, step_v, step_u, out):
    """Adds one ray's value to slice i along its main axis, if that is the given one: the transpose of _ray_sum."""
    x = first_pixel[view, 0] + v * step_v[view, 0] + u * step_u[view, 0] - source[view, 0]
    y = first_pixel[view, 1] + v * step_v[view, 1] + u * step_u[view, 1] - source[view, 1]
    z = first_pixel[view, 2] + v * step_v[view, 2] + u * step_u[view, 2] - source[view, 2]
    if _main_axis(x, y, z) != axis:
        return
    if axis == 0:
        t = (i - source[view, 0]) / x
        a, b = source[view, 1] + t * y, source[view, 2] + t * z
    elif axis == 1:
        t = (i - source[view, 1]) / y
        a, b = source[view, 0] + t * x, source[view, 2] + t * z
    else:
        t = (i - source[view, 2]) / z
        a, b = source[view, 0] + t * x, source[view, 1] + t * y
    first, second = (1 if axis == 0 else 0), (1 if axis == 2 else 2)
    if a <= -1.0 or b <= -1.0 or a >= out.shape[first] or b >= out.shape[second]:
        return
    j, k = int(math.floor(a)), int(math.floor(b))
    for p in range(max(j, 0), min(j + 2, out.shape[first])):
        for q in range(max(k, 0), min(k + 2, out.shape[second])):
            share = (1.0 - abs(a - p)) * (1.0 - abs(b - q)) * value
            if axis == 0:
                out[i, p, q] += share
            elif axis == 1:
                out[p, i, q] += share
            else:
                out[p, q, i] += share


@compile_kernel
def back_project(weighted, source, first_pixel, step_v, step_u, level, out, axis, first, last):
    """Adds weighted [views, U, V] to the slices first to last along an axis of out [X, Y, Z]."""
    views, columns, rows = weighted.shape
    line = np.zeros(out.shape[2] + 2 * _PAD, dtype=np.float32)
    for i in range(first, last):
        for view in range(views):
            for u in range(columns):
                begin, end = 0, 0
                if level[view]:
                    column_axis = _level_axis(view, u, source, first_pixel, step_u)
                    begin, end = _row_range(view, u, column_axis, source, first_pixel, step_v, step_u, rows)
                    if column_axis == axis:
                        _spread_column(
                            weighted[view, u], view, u, axis, i, begin, end,
                            source, first_pixel, step_v, step_u, line, out,
                        )  # fmt: skip
                for v in range(begin):
                    _spread_ray(weighted[view, u, v], view, v, u, axis, i, source, first_pixel, step_v, step_u, out)
                for v in range(end, rows):
                    _spread_ray(weighted[view, u, v], view, v, u, axis, i, source, first_pixel, step_v, step_u, out)


@compile_kernel
def _voxel_column_level(values, matrix, x, y, line, column):
    """Adds one view to a column of voxels along z when u and the depth are the same for all of them.

    The two nearest detector columns are blended into line first, which has zeros at both ends.
    """
    columns, rows = values.shape
    depth = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 3]
    u = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 3]) / depth
    start = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 3]) / depth
    step = matrix[0, 2] / depth
    begin, end = _inside(start, step, rows, 0, len(column))
    if u <= -1.0 or u >= columns or begin >= end:
        return
    j = int(math.floor(u))
    near, far = values[max(j, 0)], values[min(j + 1, columns - 1)]
    scalars = np.empty(4, dtype=np.float32)
    scalars[0] = (1.0 - (u - j)) / depth**2 if j >= 0 else 0.0
    scalars[1] = (u - j) / depth**2 if j + 1 < columns else 0.0
    scalars[2], scalars[3] = start + _PAD, step
    ends = (start + begin * step, start + (end - 1) * step)
    for v in range(max(int(min(ends)), 0), min(int(max(ends)) + 2, rows)):
        line[v + _PAD] = scalars[0] * near[v] + scalars[1] * far[v]
    for z in range(begin, end):
        v = scalars[2] + np.float32(z) * scalars[3]
        k = np.int32(v)
        column[z] += line[k] + (v - np.float32(k)) * (line[k + 1] - line[k])


@compile_kernel
def _voxel_column(values, matrix, x, y, column):
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


@compile_kernel
def back_project_voxels(values, matrices, out, first, last):
    """Adds values [views, U, V], weighted by the depth, to the slices first to last along x of out [X, Y, Z]."""
    line = np.zeros(values.shape[2] + 2 * _PAD, dtype=np.float32)
    for x in range(first, last):
        for view in range(len(values)):  # outside y, so that one view's rows stay in the cache
            matrix = matrices[view]
            tiny = 1e-12 * abs(matrix[0, 2])
            level = abs(matrix[1, 2]) <= tiny and abs(matrix[2, 2]) <= tiny
            for y in range(out.shape[1]):
                if level:
                    _voxel_column_level(values[view], matrix, x, y, line, out[x, y])
                else:
                    _voxel_column(values[view], matrix, x, y, out[x, y])

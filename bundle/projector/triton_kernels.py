"""Joseph's method as Triton kernels for GPUs; imported only where Triton is installed.

One program follows the rays of a block of pixels of one view through the whole volume and keeps their sums in
registers, so nothing of the size rays x samples is ever stored. Pixels are counted with the row fastest: on a level
gantry neighbouring lanes then read neighbouring voxels along z, which is the volume's contiguous axis.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["back_project", "project"]


@triton.jit
def _ray(vectors, view, v, u):
    """Source (x, y, z) and direction (x, y, z) of the rays of a block of pixels, in voxel indices."""
    row = vectors + view * 12
    source_x, source_y, source_z = tl.load(row), tl.load(row + 1), tl.load(row + 2)
    x = tl.load(row + 3) + v * tl.load(row + 6) + u * tl.load(row + 9) - source_x
    y = tl.load(row + 4) + v * tl.load(row + 7) + u * tl.load(row + 10) - source_y
    z = tl.load(row + 5) + v * tl.load(row + 8) + u * tl.load(row + 11) - source_z
    return source_x, source_y, source_z, x, y, z


@triton.jit
def _along_main_axis(source_x, source_y, source_z, x, y, z, size_x, size_y, size_z):
    """Sorts axes per ray into main axis (m) and the two others (a, b).

    Returns the start at slice 0 and the slope per slice along a and b, and the sizes and strides along m, a and b.
    """
    is_x = (tl.abs(x) >= tl.abs(y)) & (tl.abs(x) >= tl.abs(z))
    is_y = (tl.abs(y) >= tl.abs(z)) & (is_x == 0)
    is_z = (is_x == 0) & (is_y == 0)
    along = tl.where(is_x, x, tl.where(is_y, y, z))
    source_m = tl.where(is_x, source_x, tl.where(is_y, source_y, source_z))
    slope_a = tl.where(is_x, y, x) / along
    slope_b = tl.where(is_z, y, z) / along
    start_a = tl.where(is_x, source_y, source_x) - source_m * slope_a
    start_b = tl.where(is_z, source_y, source_z) - source_m * slope_b
    stride_x = size_y * size_z
    size_m = tl.where(is_x, size_x, tl.where(is_y, size_y, size_z))
    size_a = tl.where(is_x, size_y, size_x)
    size_b = tl.where(is_z, size_y, size_z)
    stride_m = tl.where(is_x, stride_x, tl.where(is_y, size_z, 1))
    stride_a = tl.where(is_x, size_z, stride_x)
    stride_b = tl.where(is_z, size_z, 1)
    return start_a, slope_a, start_b, slope_b, size_m, size_a, size_b, stride_m, stride_a, stride_b


@triton.jit
def _crossing(n, start_a, slope_a, start_b, slope_b, size_m, size_a, size_b, stride_m, stride_a, stride_b):
    """Where rays cross slice n.

    Returns the offset of the voxel below along a and b, the way to the next one as a fraction along each, and whether
    the lower and the upper voxel exist along a (which includes the slice) and along b.
    """
    a, b = start_a + n * slope_a, start_b + n * slope_b
    j, k = tl.floor(a).to(tl.int32), tl.floor(b).to(tl.int32)
    here = n < size_m
    low_a, high_a = here & (j >= 0) & (j < size_a), here & (j >= -1) & (j < size_a - 1)
    low_b, high_b = (k >= 0) & (k < size_b), (k >= -1) & (k < size_b - 1)
    return n * stride_m + j * stride_a + k * stride_b, a - j, b - k, low_a, high_a, low_b, high_b


@triton.jit
def _length_per_slice(x, y, z, voxel_x, voxel_y, voxel_z):
    """Millimetres of a ray between two slices along its main axis."""
    dx, dy, dz = x * voxel_x, y * voxel_y, z * voxel_z
    return tl.sqrt(dx * dx + dy * dy + dz * dz) / tl.maximum(tl.maximum(tl.abs(x), tl.abs(y)), tl.abs(z))


@triton.jit
def _block_of_rays(vectors, item, views, rows, columns, size_x, size_y, size_z, BLOCK: tl.constexpr):  # noqa: N803
    """This program's rays: whether each exists, its pixel's offset in [B, views, V, U], direction, and main axis."""
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    view = tl.program_id(1)
    v, u = index % rows, index // rows
    source_x, source_y, source_z, x, y, z = _ray(vectors, view, v, u)
    start_a, slope_a, start_b, slope_b, size_m, size_a, size_b, stride_m, stride_a, stride_b = _along_main_axis(
        source_x, source_y, source_z, x, y, z, size_x, size_y, size_z
    )
    exists, pixel = index < rows * columns, ((item * views + view) * rows + v) * columns + u
    return (
        exists, pixel, x, y, z,
        start_a, slope_a, start_b, slope_b, size_m, size_a, size_b, stride_m, stride_a, stride_b,
    )  # fmt: skip


@triton.jit
def project(
    volume, vectors, out, views, rows, columns, size_x, size_y, size_z, slices, voxel_x, voxel_y, voxel_z,
    BLOCK: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """Projects [B, X, Y, Z] into out [B, views, V, U]; the grid is (pixel blocks, views, B)."""
    item = tl.program_id(2).to(tl.int64)
    exists, pixel, x, y, z, start_a, slope_a, start_b, slope_b, size_m, size_a, size_b, stride_m, stride_a, stride_b = (
        _block_of_rays(vectors, item, views, rows, columns, size_x, size_y, size_z, BLOCK)
    )
    base = volume + item * size_x * size_y * size_z
    total = tl.zeros([BLOCK], dtype=tl.float32)
    for n in range(slices):
        offset, part_a, part_b, low_a, high_a, low_b, high_b = _crossing(
            n, start_a, slope_a, start_b, slope_b, size_m, size_a, size_b, stride_m, stride_a, stride_b
        )
        low_a, high_a, corner = exists & low_a, exists & high_a, base + offset
        total += (1.0 - part_a) * (1.0 - part_b) * tl.load(corner, mask=low_a & low_b, other=0.0)
        total += (1.0 - part_a) * part_b * tl.load(corner + stride_b, mask=low_a & high_b, other=0.0)
        total += part_a * (1.0 - part_b) * tl.load(corner + stride_a, mask=high_a & low_b, other=0.0)
        total += part_a * part_b * tl.load(corner + stride_a + stride_b, mask=high_a & high_b, other=0.0)
    total *= _length_per_slice(x, y, z, voxel_x, voxel_y, voxel_z)
    tl.store(out + pixel, total, mask=exists)


@triton.jit
def back_project(
    projections, vectors, out, views, rows, columns, size_x, size_y, size_z, slices, voxel_x, voxel_y, voxel_z,
    BLOCK: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """Adds the adjoint of :func:`project` of [B, views, V, U] to out [B, X, Y, Z], by atomic additions."""
    item = tl.program_id(2).to(tl.int64)
    exists, pixel, x, y, z, start_a, slope_a, start_b, slope_b, size_m, size_a, size_b, stride_m, stride_a, stride_b = (
        _block_of_rays(vectors, item, views, rows, columns, size_x, size_y, size_z, BLOCK)
    )
    value = tl.load(projections + pixel, mask=exists, other=0.0)
    value *= _length_per_slice(x, y, z, voxel_x, voxel_y, voxel_z)
    base = out + item * size_x * size_y * size_z
    for n in range(slices):
        offset, part_a, part_b, low_a, high_a, low_b, high_b = _crossing(
            n, start_a, slope_a, start_b, slope_b, size_m, size_a, size_b, stride_m, stride_a, stride_b
        )
        low_a, high_a, corner = exists & low_a, exists & high_a, base + offset
        tl.atomic_add(corner, (1.0 - part_a) * (1.0 - part_b) * value, mask=low_a & low_b, sem="relaxed")
        tl.atomic_add(corner + stride_b, (1.0 - part_a) * part_b * value, mask=low_a & high_b, sem="relaxed")
        tl.atomic_add(corner + stride_a, part_a * (1.0 - part_b) * value, mask=high_a & low_b, sem="relaxed")
        tl.atomic_add(corner + stride_a + stride_b, part_a * part_b * value, mask=high_a & high_b, sem="relaxed")

"""The steps of total-variation minimisation as Triton kernels; imported only where Triton is there.

A program has a block of an item's voxels in the order of memory, so that neighbouring lanes read neighbouring voxels.
Each writes what no other reads.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["move_edges", "move_volume"]


@triton.jit
def _voxels(size_y, size_z, BLOCK: tl.constexpr):  # noqa: N803
    """The program's block of voxels, and where they are."""
    voxel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    return voxel, voxel // (size_z * size_y), voxel // size_z % size_y, voxel % size_z


@triton.jit
def move_edges(
    edges, ahead, volume, step, weight, scale_x, scale_y, scale_z, size_x, size_y, size_z, BLOCK: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """Moves edges [B, 3, X, Y, Z] up the gradient, shortens them to the weight, and looks ahead."""
    item = tl.program_id(1).to(tl.int64)
    size = size_x * size_y * size_z
    voxel, x, y, z = _voxels(size_y, size_z, BLOCK)
    exists = voxel < size
    here = volume + item * size + voxel
    value = tl.load(here, mask=exists, other=0.0)
    beside = tl.load(here + size_y * size_z, mask=exists & (x + 1 < size_x), other=0.0)
    above = tl.load(here + size_z, mask=exists & (y + 1 < size_y), other=0.0)
    behind = tl.load(here + 1, mask=exists & (z + 1 < size_z), other=0.0)
    along = edges + item * 3 * size + voxel
    old_x = tl.load(along, mask=exists, other=0.0)
    old_y = tl.load(along + size, mask=exists, other=0.0)
    old_z = tl.load(along + 2 * size, mask=exists, other=0.0)
    a = old_x + step * scale_x * tl.where(x + 1 < size_x, beside - value, 0.0)
    b = old_y + step * scale_y * tl.where(y + 1 < size_y, above - value, 0.0)
    c = old_z + step * scale_z * tl.where(z + 1 < size_z, behind - value, 0.0)
    length = tl.sqrt(a * a + b * b + c * c)
    shorter = tl.where(length > weight, weight / tl.where(length > weight, length, 1.0), 1.0)
    a, b, c = shorter * a, shorter * b, shorter * c
    next_edges = ahead + item * 3 * size + voxel
    tl.store(next_edges, 2.0 * a - old_x, mask=exists)
    tl.store(next_edges + size, 2.0 * b - old_y, mask=exists)
    tl.store(next_edges + 2 * size, 2.0 * c - old_z, mask=exists)
    tl.store(along, a, mask=exists)
    tl.store(along + size, b, mask=exists)
    tl.store(along + 2 * size, c, mask=exists)


@triton.jit
def move_volume(
    volume, spread, edges, step, scale_x, scale_y, scale_z, size_x, size_y, size_z, BLOCK: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """Moves volumes [B, 1, X, Y, Z] down and keeps them from falling below zero; the step sizes are of all items."""
    item = tl.program_id(1).to(tl.int64)
    size = size_x * size_y * size_z
    voxel, x, y, z = _voxels(size_y, size_z, BLOCK)
    exists = voxel < size
    along = edges + item * 3 * size + voxel
    down_x = tl.load(along - size_y * size_z, mask=exists & (x > 0), other=0.0) - tl.load(along, mask=exists, other=0.0)
    along += size
    down_y = tl.load(along - size_z, mask=exists & (y > 0), other=0.0) - tl.load(along, mask=exists, other=0.0)
    along += size
    down_z = tl.load(along - 1, mask=exists & (z > 0), other=0.0) - tl.load(along, mask=exists, other=0.0)
    here = item * size + voxel
    down = tl.load(spread + here, mask=exists, other=0.0) + scale_x * down_x + scale_y * down_y + scale_z * down_z
    moved = tl.load(volume + here, mask=exists, other=0.0) - tl.load(step + voxel, mask=exists, other=0.0) * down
    tl.store(volume + here, tl.maximum(moved, 0.0), mask=exists)

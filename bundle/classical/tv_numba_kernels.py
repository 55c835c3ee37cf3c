"""The steps of total-variation minimisation in loops for Numba, imported only where that is installed."""

from __future__ import annotations

import math

import numpy as np

from bundle.numba_compile import compile_kernel

__all__ = ["move_edges", "move_volume"]


@compile_kernel
def move_edges(edges, ahead, volume, step, weight, scale_x, scale_y, scale_z, first, last):
    """Moves the dual variable of the gradient, shortens it to the weight, and looks ahead, in slices across x.

    Args:
        edges: [3, X, Y, Z], zero at each axis' far face; changed.
        ahead: [3, X, Y, Z] twice the new edges less the old ones; overwritten.
        volume: [X, Y, Z].
        step: step size.
        weight: of the total variation.
        scale_x: of the gradient along x.
        scale_y: along y.
        scale_z: along z.
        first: first slice.
        last: end of the slices.
    """
    size_x, size_y, size_z = volume.shape
    two = np.float32(2.0)
    for x in range(first, last):
        next_x = min(x + 1, size_x - 1)
        for y in range(size_y):
            next_y = min(y + 1, size_y - 1)
            here, beside, above = volume[x, y], volume[next_x, y], volume[x, next_y]
            along_x, along_y, along_z = edges[0, x, y], edges[1, x, y], edges[2, x, y]
            for z in range(size_z):
                next_z = min(z + 1, size_z - 1)
                value = here[z]
                a = along_x[z] + step * scale_x * (beside[z] - value)
                b = along_y[z] + step * scale_y * (above[z] - value)
                c = along_z[z] + step * scale_z * (here[next_z] - value)
                length = math.sqrt(a * a + b * b + c * c)
                scale = weight / length if length > weight else np.float32(1.0)
                a, b, c = scale * a, scale * b, scale * c
                ahead[0, x, y, z] = two * a - along_x[z]
                ahead[1, x, y, z] = two * b - along_y[z]
                ahead[2, x, y, z] = two * c - along_z[z]
                along_x[z], along_y[z], along_z[z] = a, b, c


@compile_kernel
def move_volume(volume, spread, edges, step, scale_x, scale_y, scale_z, first, last):
    """Moves the volume down the gradient and keeps it from falling below zero, in slices across x.

    Args:
        volume: [X, Y, Z]; changed.
        spread: [X, Y, Z] the adjoint of the rays' dual variable.
        edges: [3, X, Y, Z].
        step: [X, Y, Z] step sizes.
        scale_x: of the gradient along x.
        scale_y: along y.
        scale_z: along z.
        first: first slice.
        last: end of the slices.
    """
    _, size_y, size_z = volume.shape
    zero = np.float32(0.0)
    for x in range(first, last):
        for y in range(size_y):
            for z in range(size_z):
                along_x, along_y, along_z = -edges[0, x, y, z], -edges[1, x, y, z], -edges[2, x, y, z]
                if x > 0:
                    along_x += edges[0, x - 1, y, z]
                if y > 0:
                    along_y += edges[1, x, y - 1, z]
                if z > 0:
                    along_z += edges[2, x, y, z - 1]
                down = spread[x, y, z] + scale_x * along_x + scale_y * along_y + scale_z * along_z
                volume[x, y, z] = max(volume[x, y, z] - step[x, y, z] * down, zero)

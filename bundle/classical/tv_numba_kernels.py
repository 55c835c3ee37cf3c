"""The steps of total-variation minimisation in loops for Numba, imported only where that is installed."""

from __future__ import annotations

import math

import numpy as np

from bundle.numba_compile import compile_kernel

__all__ = ["move_edges", "move_volume"]


@compile_kernel
def move_edges(edges, ahead, step, weight, first, last):
    """Moves the dual variable of the gradient, and shortens it to the weight, in slices first to last across x.

    Args:
        edges: [3, X, Y, Z], zero at each axis' far face; changed.
        ahead: [X, Y, Z].
        step: step size.
        weight: of the total variation.
        first: first slice.
        last: end of the slices.
    """
    size_x, size_y, size_z = ahead.shape
    for x in range(first, last):
        next_x = min(x + 1, size_x - 1)
        for y in range(size_y):
            next_y = min(y + 1, size_y - 1)
            here, beside, above = ahead[x, y], ahead[next_x, y], ahead[x, next_y]
            along_x, along_y, along_z = edges[0, x, y], edges[1, x, y], edges[2, x, y]
            for z in range(size_z):
                next_z = min(z + 1, size_z - 1)
                value = here[z]
                a = along_x[z] + step * (beside[z] - value)
                b = along_y[z] + step * (above[z] - value)
                c = along_z[z] + step * (here[next_z] - value)
                length = math.sqrt(a * a + b * b + c * c)
                scale = weight / length if length > weight else np.float32(1.0)
                along_x[z], along_y[z], along_z[z] = scale * a, scale * b, scale * c


@compile_kernel
def move_volume(volume, ahead, edges, spread, step, first, last):
    """Moves the volume down the gradient, keeps it from falling below zero, and looks ahead; in slices across x.

    Args:
        volume: [X, Y, Z]; changed.
        ahead: [X, Y, Z] twice the new volume less the old one; overwritten.
        edges: [3, X, Y, Z].
        spread: [X, Y, Z] the adjoint of the rays' dual variable.
        step: [X, Y, Z] step sizes.
        first: first slice.
        last: end of the slices.
    """
    _, size_y, size_z = volume.shape
    zero = np.float32(0.0)
    for x in range(first, last):
        for y in range(size_y):
            for z in range(size_z):
                down = spread[x, y, z] - edges[0, x, y, z] - edges[1, x, y, z] - edges[2, x, y, z]
                if x > 0:
                    down += edges[0, x - 1, y, z]
                if y > 0:
                    down += edges[1, x, y - 1, z]
                if z > 0:
                    down += edges[2, x, y, z - 1]
                old = volume[x, y, z]
                new = max(old - step[x, y, z] * down, zero)
                volume[x, y, z] = new
                ahead[x, y, z] = np.float32(2.0) * new - old

"""Column sums for batch normalisation, in loops for Numba; imported only where that is installed.

Rows are taken in blocks: sums within one are in single precision, as fast as vectors go, and stay few enough to be
exact; blocks are added up by the caller in double precision. Arrays are flat, and indices unsigned, so that loops over
columns vectorise.
"""

from __future__ import annotations

import numpy as np

from bundle.numba_compile import compile_kernel

__all__ = ["ROWS_PER_BLOCK", "gradient_sums", "moments"]

ROWS_PER_BLOCK = 256


@compile_kernel
def moments(rows, columns, count, mean, deviations, first, last):
    """Mean, and sum of squared deviations from it, of every column in the blocks first to last.

    Args:
        rows: flat [count, columns] float32.
        columns: number of columns.
        count: number of rows.
        mean: [blocks, columns] float64, to be set.
        deviations: [blocks, columns] float64, to be set.
        first: first block.
        last: end of the blocks.
    """
    centre, total = np.empty(columns, np.float32), np.empty(columns, np.float32)
    every_column = range(np.uint64(columns))
    for block in range(first, last):
        start, end = block * ROWS_PER_BLOCK, min((block + 1) * ROWS_PER_BLOCK, count)
        share = np.float32(1.0) / np.float32(end - start)
        total[:] = 0.0
        for row in range(start, end):
            place = np.uint64(row * columns)
            for c in every_column:
                total[c] += rows[place + c]
        for c in every_column:
            centre[c] = total[c] * share
            mean[block, c] = centre[c]
        total[:] = 0.0
        for row in range(start, end):
            place = np.uint64(row * columns)
            for c in every_column:
                away = rows[place + c] - centre[c]
                total[c] += away * away
        for c in every_column:
            deviations[block, c] = total[c]


@compile_kernel
def gradient_sums(gradient, rows, columns, count, mean, sums, products, first, last):
    """Sums of the gradient, and of its product with rows - mean, of every column in the blocks first to last.

    Args:
        gradient: flat [count, columns] float32.
        rows: flat [count, columns] float32.
        columns: number of columns.
        count: number of rows.
        mean: [columns] float32.
        sums: [blocks, columns] float64, to be set.
        products: [blocks, columns] float64, to be set.
        first: first block.
        last: end of the blocks.
    """
    total, product = np.empty(columns, np.float32), np.empty(columns, np.float32)
    every_column = range(np.uint64(columns))
    for block in range(first, last):
        total[:] = 0.0
        product[:] = 0.0
        for row in range(block * ROWS_PER_BLOCK, min((block + 1) * ROWS_PER_BLOCK, count)):
            place = np.uint64(row * columns)
            for c in every_column:
                total[c] += gradient[place + c]
            for c in every_column:
                product[c] += gradient[place + c] * (rows[place + c] - mean[c])
        for c in every_column:
            sums[block, c] = total[c]
            products[block, c] = product[c]

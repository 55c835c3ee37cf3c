"""Exact column sums of tall matrices, as batch normalisation needs them."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import torch

from bundle.threads import in_threads

__all__ = ["gradient_sums", "moments"]

_VALUES_AT_ONCE = 2**22  # without Numba


def moments(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance (biased) [C] of the columns of [rows, C]."""
    if not _compiled(rows):
        mean = rows.sum(dim=0) / len(rows)
        return mean, _sum_over_parts(lambda part: (part - mean).square_(), rows) / len(rows)
    from bundle.networks import batch_norm_numba_kernels as kernels

    count, columns = rows.shape
    blocks = -(-count // kernels.ROWS_PER_BLOCK)
    means, deviations = torch.empty(2, blocks, columns, dtype=torch.float64)
    in_threads(
        kernels.moments, blocks, rows.numel(), rows.view(-1).numpy(), columns, count, means.numpy(), deviations.numpy()
    )
    sizes = torch.full((blocks, 1), float(kernels.ROWS_PER_BLOCK), dtype=torch.float64)
    sizes[-1] = count - (blocks - 1) * kernels.ROWS_PER_BLOCK
    mean = (means * sizes).sum(dim=0) / count
    # What deviates from the whole's mean is what deviates from the block's, and the block's mean itself.
    variance = (deviations + sizes * (means - mean).square()).sum(dim=0) / count
    return mean.float(), variance.float()


def gradient_sums(gradient: torch.Tensor, rows: torch.Tensor, mean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums [C] over the columns of a gradient [rows, C], and of its product with rows - mean."""
    if not _compiled(rows):
        return gradient.sum(dim=0), _sum_over_parts(lambda part, g: (part - mean).mul_(g), rows, gradient)
    from bundle.networks import batch_norm_numba_kernels as kernels

    count, columns = rows.shape
    blocks = -(-count // kernels.ROWS_PER_BLOCK)
    sums, products = torch.empty(2, blocks, columns, dtype=torch.float64)
    flat = gradient.contiguous().view(-1).numpy(), rows.view(-1).numpy()
    in_threads(
        kernels.gradient_sums, blocks, rows.numel(), *flat, columns, count, mean.numpy(), sums.numpy(), products.numpy()
    )
    return sums.sum(dim=0).float(), products.sum(dim=0).float()


def _compiled(rows: torch.Tensor) -> bool:
    return rows.device.type == "cpu" and rows.dtype == torch.float32 and find_spec("numba") is not None


def _sum_over_parts(terms: Callable[..., torch.Tensor], *matrices: torch.Tensor) -> torch.Tensor:
    """Sums terms(*parts) over the rows of all parts of matrices [rows, C]."""
    at_once = max(1, _VALUES_AT_ONCE // matrices[0].shape[1])
    sums = [terms(*parts).sum(dim=0) for parts in zip(*(matrix.split(at_once) for matrix in matrices))]
    return torch.stack(sums).sum(dim=0)

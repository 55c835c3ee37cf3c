"""A coarse classical reconstruction as an input of the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import torch
import torch.nn.functional as F
from torch import nn

from bundle.classical.methods import make_method
from bundle.errors import InputError
from bundle.matrix_geometry import geometry_of_matrices
from bundle.physics.attenuation import normalised_to_unit_integral

__all__ = ["ClassicalPrior", "NoPrior"]


class NoPrior(nn.Module):
    """Stands for the prior in networks without one, as in the paper."""

    def forward(
        self, projections: torch.Tensor, matrices: torch.Tensor, sparse_mask: Optional[torch.Tensor]
    ) -> Optional[torch.Tensor]:
        """Gives None."""
        return None


class ClassicalPrior(nn.Module):
    """Reconstructs the sparse views classically, on a coarse grid over the volume; has no parameters.

    Detector pixels are averaged down to about the grid's resolution first.

    Args:
        volume_size_mm: side lengths (x, y, z) of the volume.
        size: voxels per side.
        method: one of bundle.classical.METHODS.
        options: the method's own.

    Raises:
        InputError: when method or options are unknown.
    """

    def __init__(
        self,
        volume_size_mm: Sequence[float],
        size: int = 64,
        method: str = "tv",
        options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.volume_size_mm = [float(side) for side in volume_size_mm]
        self.size = int(size)
        self.solver = make_method(method, **(options or {}))

    def forward(
        self, projections: torch.Tensor, matrices: torch.Tensor, sparse_mask: Optional[torch.Tensor]
    ) -> Optional[torch.Tensor]:
        """Reconstructs.

        Args:
            projections: [B, views, V, U] normalised projections.
            matrices: [B, views, 3, 4].
            sparse_mask: [B, m], true for the sparse views among the first m; None if all are.

        Returns:
            [B, 1, size, size, size] in [0, 1], without gradient.
        """
        return self._solve(projections, matrices, sparse_mask)

    @torch.jit.unused
    @torch.no_grad()
    def _solve(
        self, projections: torch.Tensor, matrices: torch.Tensor, sparse_mask: Optional[torch.Tensor]
    ) -> Optional[torch.Tensor]:
        with torch.autocast(projections.device.type, enabled=False):
            coarse = self._coarse(normalised_to_unit_integral(projections.float()))
            volumes = []
            for item in range(len(coarse)):
                views = slice(None) if sparse_mask is None else sparse_mask[item].nonzero()[:, 0]
                own = matrices[item, views].cpu().numpy()
                shape = [self.size] * 3
                geometry = geometry_of_matrices(own, self.volume_size_mm, shape, coarse.shape[2:])
                volumes.append(self.solver(coarse[item : item + 1, views], geometry))
        return torch.cat(volumes).clamp_(0.0, 1.0)

    def _coarse(self, projections: torch.Tensor) -> torch.Tensor:
        """Averages pixels, as many as fit into a voxel of the grid."""
        rows, columns = projections.shape[2:]
        factors = [max(1, n // self.size) for n in (rows, columns)]
        if rows % factors[0] or columns % factors[1]:
            raise InputError(
                "projections",
                f"have {rows} x {columns} pixels, which blocks of {factors[0]} x {factors[1]} do not divide.",
                f"Resample them to multiples of {self.size}.",
            )
        return F.avg_pool2d(projections, factors)

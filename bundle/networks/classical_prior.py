"""A coarse classical reconstruction as an input of the network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from bundle.classical.methods import make_method
from bundle.classical.total_variation import FEW_VIEWS, TotalVariation
from bundle.geometry import circular
from bundle.matrix_geometry import geometry_of_matrices
from bundle.networks.scripted_tv import reconstruct
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
        self.unit_mm = normalised_to_unit_integral(1.0)
        self.solver = make_method(method, **(options or {}))
        # What TorchScript can hold of it; no iterations where it cannot.
        self.weight_mm, self.few_views, self.iterations = 0.0, math.inf, [0]
        if isinstance(self.solver, TotalVariation):
            grid = circular([0.0], 1e6, 2e6, (1, 1), (1.0, 1.0), [size] * 3, [side / size for side in volume_size_mm])
            self.weight_mm = self.solver.weight_for(grid)
            self.few_views = math.inf if self.solver.weight_mm is not None else float(FEW_VIEWS)
            self.iterations = [int(n) for n in (self.solver.iterations, *self.solver.coarse_iterations)]

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
        if torch.jit.is_scripting():
            return self._solve_scripted(projections, matrices, sparse_mask)
        return self._solve(projections, matrices, sparse_mask)

    def stay_out_of_graphs(self) -> None:
        """Keeps the solver, which computes its geometry with NumPy, out of torch.compile's graphs."""
        self._solve = torch.compiler.disable(self._solve)  # type: ignore[method-assign]

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
                first = _first_of_equal(own)  # views that fill up a batch must not count twice
                geometry = geometry_of_matrices(own[first], self.volume_size_mm, [self.size] * 3, coarse.shape[2:])
                volumes.append(self.solver(coarse[item, views][first][None], geometry))
        return torch.cat(volumes).clamp_(0.0, 1.0)

    def _solve_scripted(
        self, projections: torch.Tensor, matrices: torch.Tensor, sparse_mask: Optional[torch.Tensor]
    ) -> torch.Tensor:
        """The same in operations that TorchScript knows; total variation alone."""
        if self.iterations[0] == 0:
            raise NotImplementedError("only priors by total variation can be exported.")
        coarse = self._coarse(projections.float() * self.unit_mm)
        volumes: list[torch.Tensor] = []
        for item in range(coarse.shape[0]):
            views, own = coarse[item], matrices[item]
            if sparse_mask is not None:
                kept = sparse_mask[item].nonzero()[:, 0]
                views, own = views[kept], own[kept]
            weight_mm = self.weight_mm * max(1.0, views.shape[0] / self.few_views)
            volumes.append(reconstruct(views, own, self.volume_size_mm, self.size, weight_mm, self.iterations))
        return torch.stack(volumes).unsqueeze(1).clamp(0.0, 1.0)

    def _coarse(self, projections: torch.Tensor) -> torch.Tensor:
        """Averages pixels, as many as fit into a voxel of the grid."""
        rows, columns = projections.shape[2], projections.shape[3]
        factors = [max(1, rows // self.size), max(1, columns // self.size)]
        if rows % factors[0] != 0 or columns % factors[1] != 0:
            raise ValueError(f"{rows} x {columns} pixels cannot be averaged to about {self.size} a side; resample them")
        return F.avg_pool2d(projections, factors)


def _first_of_equal(matrices: np.ndarray) -> np.ndarray:
    """[distinct] indices of the first of each of the equal ones among matrices [views, 3, 4], in their order."""
    return np.sort(np.unique(matrices.reshape(len(matrices), -1), axis=0, return_index=True)[1])

"""Conjugate gradients for the least-squares problem."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch

from bundle.classical.sart import starting_volume
from bundle.errors import InputError
from bundle.geometry import ConeBeamGeometry
from bundle.projector import ConeBeamProjector

__all__ = ["CGLS", "cgls_iterates"]


def cgls_iterates(
    projections: torch.Tensor, geometry: ConeBeamGeometry, volume: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yields volumes [B, 1, X, Y, Z] of decreasing residual, and the residuals p - A x [B, views, V, U].

    M. R. Hestenes and E. Stiefel, "Methods of conjugate gradients for solving linear systems", 1952, applied to
    A^T A x = A^T p without forming A^T A.

    Args:
        projections: [B, views, V, U].
        geometry: the scan.
        volume: where to start.
    """
    projector = ConeBeamProjector(geometry)
    residual = projections - projector(volume)
    gradient = projector.adjoint(residual)
    direction, size = gradient, _squared(gradient)
    while True:
        projected = projector(direction)
        step = _ratio(size, _squared(projected))
        volume = volume + step * direction
        residual = residual - step[..., 0] * projected
        yield volume, residual
        gradient = projector.adjoint(residual)
        previous, size = size, _squared(gradient)
        direction = gradient + _ratio(size, previous) * direction


@dataclass(frozen=True)
class CGLS:
    """Least squares by a number of conjugate gradient steps, which is also the regularisation: more fit the noise.

    Args:
        iterations: number of steps.
        positive: set what is below zero to zero, once, at the end.
    """

    iterations: int = 20
    positive: bool = True

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise InputError("cgls", f"has {self.iterations} iterations.", "Give at least one.")

    def __call__(
        self, projections: torch.Tensor, geometry: ConeBeamGeometry, initial: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Reconstructs; arguments and result are those of :class:`bundle.classical.methods.Method`."""
        projections = projections.float()
        start = starting_volume(projections, geometry, initial)
        volume, _ = next(islice(cgls_iterates(projections, geometry, start), self.iterations - 1, None))
        return volume.clamp(min=0.0) if self.positive else volume


def _squared(tensor: torch.Tensor) -> torch.Tensor:
    """[B, 1, 1, 1, 1] squared norm of each item; in double precision, since sums run over millions of values."""
    return tensor.flatten(1).double().square().sum(dim=1).reshape(-1, 1, 1, 1, 1)


def _ratio(numerator: torch.Tensor, denominator: torch.Tensor) -> torch.Tensor:
    """Their quotient in single precision; zero where the item has converged."""
    return torch.where(denominator > 0, numerator / denominator, 0.0).float()

"""Reconstruction regularised by total variation."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bundle.classical.sart import inverse_sums, starting_volume
from bundle.errors import InputError
from bundle.geometry import ConeBeamGeometry
from bundle.projector import ConeBeamProjector

__all__ = ["TotalVariation", "gradient", "gradient_adjoint"]


def gradient(volume: torch.Tensor) -> torch.Tensor:
    """[B, 1, X, Y, Z] to [B, 3, X, Y, Z] differences to the next voxel, zero at the far faces."""
    out = volume.new_zeros(len(volume), 3, *volume.shape[2:])
    for axis in range(3):
        size = volume.shape[axis + 2]
        out[:, axis : axis + 1].narrow(axis + 2, 0, size - 1).copy_(volume.diff(dim=axis + 2))
    return out


def gradient_adjoint(field: torch.Tensor) -> torch.Tensor:
    """The transpose of :func:`gradient`: [B, 3, X, Y, Z] to [B, 1, X, Y, Z]."""
    out = field.new_zeros(len(field), 1, *field.shape[2:])
    for axis in range(3):
        size = field.shape[axis + 2]
        inner = field[:, axis : axis + 1].narrow(axis + 2, 0, size - 1)
        out.narrow(axis + 2, 0, size - 1).sub_(inner)
        out.narrow(axis + 2, 1, size - 1).add_(inner)
    return out


@dataclass(frozen=True)
class TotalVariation:
    """Minimises 1/2 sum over rays (A x - p)^2 / length + weight TV(x) over volumes x >= 0.

    Dividing by each ray's length through the volume balances long and short rays, as SART does. Solved by the
    primal-dual method with diagonal step sizes: T. Pock and A. Chambolle, "Diagonal preconditioning for first order
    primal-dual algorithms in convex optimization", ICCV 2011. TV is the isotropic total variation, the sum of the
    gradient's length between voxels.

    Args:
        weight: of the total variation, for values of about one.
        iterations: number of steps.
    """

    weight: float = 0.02
    iterations: int = 200

    def __post_init__(self) -> None:
        if self.weight < 0 or self.iterations < 1:
            raise InputError(
                "tv",
                f"has a weight of {self.weight} and {self.iterations} iterations.",
                "Give a weight of at least zero and at least one iteration.",
            )

    def __call__(
        self, projections: torch.Tensor, geometry: ConeBeamGeometry, initial: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Reconstructs; arguments and result are those of :class:`bundle.classical.methods.Method`."""
        projections = projections.float()
        projector = ConeBeamProjector(geometry)
        x = starting_volume(projections, geometry, initial)
        # Rows are scaled by 1 / sqrt(length): the scaled row's sum is sqrt(length), its step size the scale again.
        scale = inverse_sums(projector(torch.ones_like(x[:1]))).sqrt()
        tau = 1.0 / (projector.adjoint(scale) + 6.0)  # each voxel is in six differences
        sigma_gradient = 0.5  # each difference has two voxels
        target = scale * projections
        along_rays, along_edges = torch.zeros_like(target), torch.zeros_like(gradient(x))
        ahead = x
        for _ in range(self.iterations):
            along_rays += scale * (scale * projector(ahead) - target)
            along_rays /= 1.0 + scale
            along_edges += sigma_gradient * gradient(ahead)
            length = along_edges.square().sum(dim=1, keepdim=True).sqrt()
            along_edges *= torch.where(length > self.weight, self.weight / length, 1.0)
            step = projector.adjoint(scale * along_rays) + gradient_adjoint(along_edges)
            previous, x = x, (x - tau * step).clamp(min=0.0)
            ahead = 2.0 * x - previous
        return x

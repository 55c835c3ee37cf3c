"""Reconstruction regularised by total variation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from bundle.classical.sart import inverse_sums, starting_volume
from bundle.classical.tv_steps import move_edges, move_volume
from bundle.errors import InputError
from bundle.geometry import ConeBeamGeometry
from bundle.projector import ConeBeamProjector

__all__ = ["TotalVariation"]


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
        coarse_iterations: steps with voxels and pixels of twice, four times, ... the size; each grid starts from the
            volume of the next coarser one. Empty to start from zeros.
    """

    weight: float = 0.02
    iterations: int = 200
    coarse_iterations: Sequence[int] = ()

    def __post_init__(self) -> None:
        if self.weight < 0 or min((self.iterations, *self.coarse_iterations)) < 1:
            raise InputError(
                "tv",
                f"has a weight of {self.weight} and {[self.iterations, *self.coarse_iterations]} iterations.",
                "Give a weight of at least zero and at least one iteration.",
            )

    def __call__(
        self, projections: torch.Tensor, geometry: ConeBeamGeometry, initial: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Reconstructs; arguments and result are those of :class:`bundle.classical.methods.Method`."""
        projections = projections.float()
        if initial is None and self.coarse_iterations:
            initial = self._coarse(projections, geometry)
        projector = ConeBeamProjector(geometry)
        x = starting_volume(projections, geometry, initial).clone()
        # Rows are scaled by 1 / sqrt(length): the scaled row's sum is sqrt(length), its step size the scale again.
        scale = inverse_sums(projector(torch.ones_like(x[:1]))).sqrt()
        tau = 1.0 / (projector.adjoint(scale) + 6.0)  # each voxel is in six differences
        sigma_gradient = 0.5  # each difference has two voxels
        target = scale * projections
        along_rays, along_edges = torch.zeros_like(target), x.new_zeros(len(x), 3, *x.shape[2:])
        ahead = x.clone()
        for _ in range(self.iterations):
            along_rays += scale * (scale * projector(ahead) - target)
            along_rays /= 1.0 + scale
            move_edges(along_edges, ahead, sigma_gradient, self.weight)
            move_volume(x, ahead, along_edges, projector.adjoint(scale * along_rays), tau)
        return x

    def _coarse(self, projections: torch.Tensor, geometry: ConeBeamGeometry) -> torch.Tensor:
        """The volume of voxels and pixels of twice the size, on the geometry's voxels."""
        shape, detector = geometry.volume_shape, geometry.detector_shape
        if any(n % 2 for n in (*shape, *detector)):
            raise InputError(
                "tv coarse_iterations",
                f"cannot halve {list(shape)} voxels and {list(detector)} pixels.",
                "Let all be even, or give none.",
            )
        half = replace(
            geometry.with_volume([n // 2 for n in shape]),
            detector_shape=tuple(n // 2 for n in detector),
            pixel_mm=tuple(2 * size for size in geometry.pixel_mm),
        )
        first, *others = self.coarse_iterations
        coarse = replace(self, iterations=first, coarse_iterations=tuple(others))
        return F.interpolate(coarse(F.avg_pool2d(projections, 2), half), scale_factor=2, mode="trilinear")

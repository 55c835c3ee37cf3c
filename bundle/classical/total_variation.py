"""Reconstruction regularised by total variation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F

from bundle.classical.sart import inverse_sums, starting_volume
from bundle.classical.tv_steps import move_edges, move_volume
from bundle.errors import InputError
from bundle.fixed_tuples import pair
from bundle.geometry import ConeBeamGeometry
from bundle.projector import ConeBeamProjector

__all__ = ["EDGE_STEP", "RAY_STEP", "TotalVariation"]

# Weights of the two dual variables in the step sizes. Small ones lengthen the volume's steps, as rays through bodies in
# mm need: of 0.03 to 10, these came nearest to the minimum in 40 to 80 steps.
RAY_STEP, EDGE_STEP = 0.2, 0.03


class _State(NamedTuple):
    """Where the minimisation stands.

    Args:
        volume: [B, 1, X, Y, Z].
        along_rays: [B, views, V, U] dual variable of the line integrals.
        along_edges: [B, 3, X, Y, Z] dual variable of the gradient, zero at each axis' far face.
    """

    volume: torch.Tensor
    along_rays: torch.Tensor
    along_edges: torch.Tensor


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
            volume and the dual variables of the next coarser one. Empty to start from zeros.
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
        if initial is None:
            return self._solve(projections, geometry, [self.iterations, *self.coarse_iterations]).volume
        volume = initial.to(projections, copy=True)
        return self._minimise(projections, geometry, _resting(volume, projections), self.iterations).volume

    def _solve(self, projections: torch.Tensor, geometry: ConeBeamGeometry, iterations: Sequence[int]) -> _State:
        """Minimises from zeros on the coarsest grid on; iterations are the finest grid's first."""
        own, *coarser = iterations
        if coarser:
            half = _halved(geometry)
            state = _doubled(self._solve(F.avg_pool2d(projections, 2), half, coarser))
        else:
            state = _resting(starting_volume(projections, geometry, None), projections)
        return self._minimise(projections, geometry, state, own)

    def _minimise(
        self, projections: torch.Tensor, geometry: ConeBeamGeometry, state: _State, iterations: int
    ) -> _State:
        """Moves the state, in place."""
        projector = ConeBeamProjector(geometry)
        x, along_rays, along_edges = state
        # Rows are scaled by 1 / sqrt(length): the scaled row's sum is sqrt(length), its step size the scale again.
        scale = inverse_sums(projector(torch.ones_like(x[:1]))).sqrt()
        tau = 1.0 / (RAY_STEP * projector.adjoint(scale) + 6.0 * EDGE_STEP)  # each voxel is in six differences
        ray_step, edge_step = RAY_STEP * scale, 0.5 * EDGE_STEP  # each difference has two voxels
        target = scale * projections
        ahead = x.clone()
        for _ in range(iterations):
            along_rays += ray_step * (scale * projector(ahead) - target)
            along_rays /= 1.0 + ray_step
            move_edges(along_edges, ahead, edge_step, self.weight)
            move_volume(x, ahead, along_edges, projector.adjoint(scale * along_rays), tau)
        return state


def _resting(volume: torch.Tensor, projections: torch.Tensor) -> _State:
    """A volume with dual variables of zero."""
    edges = volume.new_zeros(len(volume), 3, *volume.shape[2:])
    return _State(volume, torch.zeros_like(projections), edges)


def _halved(geometry: ConeBeamGeometry) -> ConeBeamGeometry:
    """The geometry with voxels and pixels of twice the size."""
    shape, detector = geometry.volume_shape, geometry.detector_shape
    if any(n % 2 for n in (*shape, *detector)):
        raise InputError(
            "tv coarse_iterations",
            f"cannot halve {list(shape)} voxels and {list(detector)} pixels.",
            "Let all be even, or give none.",
        )
    return replace(
        geometry.with_volume([n // 2 for n in shape]),
        detector_shape=pair(n // 2 for n in detector),
        pixel_mm=pair(2 * size for size in geometry.pixel_mm),
    )


def _doubled(state: _State) -> _State:
    """The state for voxels and pixels of half the size."""
    edges = F.interpolate(state.along_edges, scale_factor=2)
    for axis in (2, 3, 4):
        edges.narrow(axis, edges.shape[axis] - 1, 1)[:, axis - 2] = 0.0
    volume = F.interpolate(state.volume, scale_factor=2, mode="trilinear")
    return _State(volume, F.interpolate(state.along_rays, scale_factor=2, mode="bilinear"), edges)

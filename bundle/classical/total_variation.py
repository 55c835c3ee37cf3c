"""Reconstruction regularised by total variation."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from bundle.classical.noise_variance import noise_variance
from bundle.classical.pixel_binning import binned, pixel_area_mm2, pixels_per_shadow
from bundle.classical.sart import interleaved_subsets, inverse_sums, starting_volume
from bundle.classical.tv_steps import gradient, move_edges, move_volume
from bundle.errors import InputError
from bundle.geometry import ConeBeamGeometry
from bundle.physics.attenuation import MU_WATER_PER_MM
from bundle.physics.noise import DetectorNoise
from bundle.projector import ConeBeamProjector

__all__ = ["EDGE_STEP", "FEW_VIEWS", "LEAST_SIDE", "MOST_SUBSETS", "RAY_STEP", "TotalVariation"]

# Weights of the two dual variables in the step sizes. Small ones lengthen the volume's steps, as rays through bodies in
# mm need.
RAY_STEP, EDGE_STEP = 0.3, 0.02
MOST_SUBSETS = 10  # of views: the steps in the volume, one for each, would cost more than the rays
LEAST_SIDE = 16  # voxels along an axis of the coarsest grid
_WEIGHT_MM, _REFERENCE_MM, _WEIGHT_POWER = 0.003, 3.2, 0.7
FEW_VIEWS = 20  # beyond them the data term, which grows with their number, explains what the grid cannot
_GRID_SHARE, _GRID_POWER = 0.0052, 1.4
_BODY = 0.01  # of the largest projection: rays with more cross the body
_REPORTED = 5  # sweeps at the end whose change of the objective is reported


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
    """Minimises 1/2 sum over rays area (A x - p)^2 / length + weight_mm TV(x) over volumes x >= 0.

    The area is that of a pixel as seen at the volume's centre, and TV(x) the integral of the gradient's length over the
    volume, its differences divided by the voxel's own sides. Both sums are then about integrals over the body, and the
    weight, in value times mm, means the same for any number and shape of pixels and voxels. Dividing by each ray's
    length through the volume balances long and short rays, as SART does. Pixels are averaged to about a voxel's shadow
    first: finer ones cost time, and a ray is a worse model of them than of the average.

    Solved by the stochastic primal-dual method, one subset of views after the other, with diagonal step sizes:
    A. Chambolle, M. J. Ehrhardt, P. Richtarik and C.-B. Schoenlieb, "Stochastic primal-dual hybrid gradient algorithm
    with arbitrary sampling and imaging applications", SIAM Journal on Optimization 28:2783, 2018; T. Pock and
    A. Chambolle, "Diagonal preconditioning for first order primal-dual algorithms in convex optimization", ICCV 2011.
    The order of the subsets is fixed, so that the result is the same every time. The objective and its change over the
    last sweeps are logged.

    Without a weight it follows from the residual that has to remain: what voxels of this size cannot express of a body,
    and the noise. See :meth:`weight_for`.

    Args:
        weight_mm: of the total variation, for values of about one; chosen for the scan if None.
        iterations: sweeps over all views.
        coarse_iterations: sweeps with voxels and pixels of about twice, four times, ... the size; each grid starts from
            the volume and the dual variables of the next coarser one. Empty to start from zeros. Grids with less than
            16 voxels along an axis are left out.
        noise: the detector's noise, for the weight that is chosen; exact projections if None.
        hu_window: HU at the volume's 0 and 1, the lower one air; with the attenuation of water it turns the noise of
            p = -ln(I / I0) into that of the projections.
        mu_water_per_mm: attenuation of water at the beam's effective energy.

    Raises:
        InputError: when an option is invalid, or the noise's level is not known.

    Example::

        volume = TotalVariation()(projections, geometry)  # [B, views, V, U] -> [B, 1, X, Y, Z]
    """

    weight_mm: float | None = None
    iterations: int = 40
    coarse_iterations: Sequence[int] = (40, 30)
    noise: DetectorNoise | None = None
    hu_window: Sequence[float] = (-1000.0, 1000.0)
    mu_water_per_mm: float = MU_WATER_PER_MM

    def __post_init__(self) -> None:
        if self.noise is not None:
            noise_variance(self.noise, torch.zeros(1), self.hu_window, self.mu_water_per_mm)  # known?
        if (self.weight_mm or 0.0) < 0 or min((self.iterations, *self.coarse_iterations)) < 1:
            raise InputError(
                "tv",
                f"has a weight of {self.weight_mm} mm and {[self.iterations, *self.coarse_iterations]} iterations.",
                "Give a weight of at least zero and at least one iteration.",
            )

    def __call__(
        self, projections: torch.Tensor, geometry: ConeBeamGeometry, initial: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Reconstructs; arguments and result are those of :class:`bundle.classical.methods.Method`."""
        projections = projections.float()
        weight_mm = self.weight_for(geometry, projections)
        if initial is None:
            return self._solve(projections, geometry, weight_mm, [self.iterations, *self.coarse_iterations]).volume
        volume = initial.to(projections, copy=True)
        averages, coarser = binned(projections, geometry)
        return self._minimise(averages, coarser, weight_mm, _resting(volume, averages), self.iterations).volume

    def weight_for(self, geometry: ConeBeamGeometry, projections: torch.Tensor | None = None) -> float:
        """The weight in value times mm: the given one, or the one chosen for a scan.

        The chosen one is 0.003 max(1, views / 20) (h / 3.2 mm)^0.7 sqrt(1 + (noise / grid)^2), h the side of a cubic
        voxel of the same volume, noise and grid the root mean squares over the rays through the body: of the noise that
        is left in a voxel's shadow, and of what voxels of this size cannot express, 0.52 % (h / 3.2 mm)^1.4 of the
        projections. All numbers come from six CTs of bodies (docs/classical.md).

        Args:
            geometry: the scan.
            projections: [B, views, V, U] line integrals in value times mm; only needed with noise.

        Raises:
            ValueError: when there is noise and no projections are given.
        """
        if self.weight_mm is not None:
            return float(self.weight_mm)
        size = float(np.prod(geometry.voxel_mm)) ** (1 / 3) / _REFERENCE_MM
        weight_mm = _WEIGHT_MM * size**_WEIGHT_POWER * max(1.0, geometry.num_views / FEW_VIEWS)
        if self.noise is None:
            return weight_mm
        if projections is None:
            raise ValueError("the weight depends on the projections where there is noise: give them.")
        variance = noise_variance(self.noise, projections, self.hu_window, self.mu_water_per_mm)
        body = projections > _BODY * projections.max()
        pixels = float(np.prod(pixels_per_shadow(geometry)))
        noise = float(variance[body].mean()) / pixels
        grid = (_GRID_SHARE * size**_GRID_POWER) ** 2 * float(projections[body].square().mean())
        return weight_mm * (1.0 + noise / grid) ** 0.5

    def objective(self, volume: torch.Tensor, projections: torch.Tensor, geometry: ConeBeamGeometry) -> float:
        """What is minimised, in value^2 times mm^3, of the pixels that are fitted.

        Args:
            volume: [B, 1, X, Y, Z].
            projections: [B, views, V, U] line integrals in value times mm.
            geometry: the scan.
        """
        weight_mm = self.weight_for(geometry, projections)
        projections, geometry = binned(projections.float(), geometry)
        return _Problem(geometry, volume, weight_mm).objective(volume, projections)

    def _solve(
        self, projections: torch.Tensor, geometry: ConeBeamGeometry, weight_mm: float, iterations: Sequence[int]
    ) -> _State:
        """Minimises from zeros on the coarsest grid on; iterations are the finest grid's first."""
        own, *coarser = iterations
        averages, seen = binned(projections, geometry)
        half = [(n + 1) // 2 for n in geometry.volume_shape]
        if coarser and min(half) >= LEAST_SIDE:
            start = self._solve(projections, geometry.with_volume(half), weight_mm, coarser)
            state = _refined(start, geometry.volume_shape, seen.detector_shape)
        else:
            state = _resting(starting_volume(averages, seen, None), averages)
        return self._minimise(averages, seen, weight_mm, state, own)

    def _minimise(
        self,
        projections: torch.Tensor,
        geometry: ConeBeamGeometry,
        weight_mm: float,
        state: _State,
        iterations: int,
    ) -> _State:
        """Moves the state, in place."""
        volume, along_rays, along_edges = state
        problem = _Problem(geometry, volume, weight_mm)
        spread = problem.projector.adjoint(problem.scale * along_rays)
        ahead, edges_ahead = spread.clone(), along_edges.clone()
        before = None
        for iteration in range(iterations):
            if iteration == iterations - _REPORTED:
                before = problem.objective(volume, projections)
            for views, projector in zip(problem.subsets, problem.projectors):
                move_volume(volume, ahead, edges_ahead, problem.step, problem.edge_scales)
                move_edges(
                    along_edges, edges_ahead, volume, problem.edge_step, problem.edge_weight, problem.edge_scales
                )
                scale, ray_step, old = problem.scale[:, views], problem.ray_step[:, views], along_rays[:, views]
                residual = scale * (projector(volume) - projections[:, views])
                new = (old + ray_step * residual) / (1.0 + ray_step)
                along_rays[:, views] = new
                change = projector.adjoint(scale * (new - old))
                spread += change
                torch.add(spread, change, alpha=float(len(problem.subsets)), out=ahead)
        _report(problem.objective(volume, projections), before, geometry)
        return state


class _Problem:
    """The terms of the objective on one grid, as the steps take them.

    The objective is divided by the area of a voxel's face, the two-thirds power of its volume, which makes the numbers
    those of unit voxels. Rows of the projection are scaled, so that their squares are the data term.
    """

    def __init__(self, geometry: ConeBeamGeometry, like: torch.Tensor, weight_mm: float) -> None:
        voxel_mm = np.array(geometry.voxel_mm)
        self.face_mm2 = float(np.prod(voxel_mm) ** (2 / 3))
        self.edge_scales = [float(np.prod(voxel_mm) ** (1 / 3) / side) for side in voxel_mm]
        self.edge_weight = float(weight_mm)
        self.edge_step = EDGE_STEP / (2.0 * max(self.edge_scales))  # each difference has two voxels
        self.subsets = interleaved_subsets(geometry.num_views, MOST_SUBSETS)
        self.projectors = [ConeBeamProjector(geometry.select(views)) for views in self.subsets]
        self.projector = ConeBeamProjector(geometry)
        per_length = inverse_sums(self.projector(torch.ones_like(like[:1])))
        share = torch.from_numpy(pixel_area_mm2(geometry) / self.face_mm2).to(per_length)[:, None, None]
        self.scale = (share * per_length).sqrt()
        # The scaled row's sum is the ray's length times its scale.
        self.ray_step = RAY_STEP * torch.where(self.scale > 0, per_length / self.scale, 0.0)
        columns = [projector.adjoint(self.scale[:, views]) for views, projector in zip(self.subsets, self.projectors)]
        most = reduce(torch.maximum, columns)
        edges = 2.0 * EDGE_STEP * sum(self.edge_scales)  # each voxel is in two differences along each axis
        self.step = 1.0 / (len(self.subsets) * RAY_STEP * most + edges)

    def objective(self, volume: torch.Tensor, projections: torch.Tensor) -> float:
        """In value^2 times mm^3."""
        residual = self.scale * (self.projector(volume) - projections)
        edges = gradient(volume, self.edge_scales).square().sum(dim=1).sqrt()
        return self.face_mm2 * float(0.5 * residual.double().square().sum() + self.edge_weight * edges.double().sum())


def _report(now: float, before: float | None, geometry: ConeBeamGeometry) -> None:
    """Logs the objective."""
    voxels = " x ".join(str(n) for n in geometry.volume_shape)
    change = "" if not before else f", {abs(before - now) / before:.2%} from that {_REPORTED} sweeps before"
    logging.getLogger(__name__).info("total variation of %s voxels: objective %.5g mm^3%s", voxels, now, change)


def _resting(volume: torch.Tensor, projections: torch.Tensor) -> _State:
    """A volume with dual variables of zero."""
    edges = volume.new_zeros(len(volume), 3, *volume.shape[2:])
    return _State(volume, torch.zeros_like(projections), edges)


def _refined(state: _State, shape: Sequence[int], pixels: Sequence[int]) -> _State:
    """The state for other numbers of voxels and pixels."""
    edges = F.interpolate(state.along_edges, size=list(shape))
    for axis in (2, 3, 4):
        edges.narrow(axis, edges.shape[axis] - 1, 1)[:, axis - 2] = 0.0
    volume = F.interpolate(state.volume, size=list(shape), mode="trilinear")
    return _State(volume, F.interpolate(state.along_rays, size=list(pixels), mode="bilinear"), edges)

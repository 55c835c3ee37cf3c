"""Simultaneous algebraic reconstruction, by subsets of views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from bundle.errors import InputError
from bundle.geometry import ConeBeamGeometry
from bundle.projector import ConeBeamProjector

__all__ = ["MOST_SUBSETS", "SART", "SubsetSteps", "interleaved_subsets", "inverse_sums", "starting_volume"]

MOST_SUBSETS = 20  # unless asked for: each needs one volume of memory
_NOT_CROSSED = 1e-3  # rays and voxels with less than this part of the largest sum are left alone


def interleaved_subsets(views: int, count: int) -> list[np.ndarray]:
    """Splits views into subsets that are spread over the scan, in an order that keeps neighbours apart in time."""
    count = min(count, views)
    stride = next(s for s in range(max(1, round(0.382 * count)), count + 1) if np.gcd(s, count) == 1)
    return [np.arange((k * stride) % count, views, count) for k in range(count)]


class SubsetSteps:
    """The update of SART: residuals divided by each ray's length, spread, and divided by each voxel's share.

    A. H. Andersen and A. C. Kak, "Simultaneous algebraic reconstruction technique (SART)", Ultrasonic Imaging 6(1),
    1984. The sums are exact, because the adjoint is.

    Args:
        geometry: the scan.
        subsets: largest number of subsets; each needs one volume of memory.
        like: gives device and precision.
    """

    def __init__(self, geometry: ConeBeamGeometry, subsets: int, like: torch.Tensor) -> None:
        self.views = interleaved_subsets(geometry.num_views, subsets)
        self.projectors = [ConeBeamProjector(geometry.select(views)) for views in self.views]
        ones = torch.ones(1, 1, *geometry.volume_shape, device=like.device, dtype=like.dtype)
        self.per_ray, self.per_voxel = [], []
        for projector in self.projectors:
            lengths = projector(ones)
            self.per_ray.append(inverse_sums(lengths))
            self.per_voxel.append(inverse_sums(projector.adjoint((lengths > 0).to(like.dtype))))

    def sweep(self, volume: torch.Tensor, projections: torch.Tensor, relaxation: float, positive: bool) -> torch.Tensor:
        """One pass over all subsets; gives the new volume [B, 1, X, Y, Z]."""
        for views, projector, per_ray, per_voxel in zip(self.views, self.projectors, self.per_ray, self.per_voxel):
            residual = (projections[:, views] - projector(volume)) * per_ray
            volume = volume + relaxation * per_voxel * projector.adjoint(residual)
            if positive:
                volume = volume.clamp(min=0.0)
        return volume


@dataclass(frozen=True)
class SART:
    """SART, and with more than one view a subset OS-SART.

    Args:
        iterations: passes over all views.
        subsets: number of subsets; the number of views (SART), but at most 20, if None.
        relaxation: part of each step that is taken, between 0 and 2.
        positive: keep the volume from falling below zero.
    """

    iterations: int = 20
    subsets: int | None = None
    relaxation: float = 0.5
    positive: bool = True

    def __post_init__(self) -> None:
        if self.iterations < 1 or not 0 < self.relaxation < 2 or (self.subsets is not None and self.subsets < 1):
            raise InputError(
                "sart",
                f"has {self.iterations} iterations, {self.subsets} subsets and a relaxation of {self.relaxation}.",
                "Give at least one iteration and subset, and a relaxation between 0 and 2.",
            )

    def __call__(
        self, projections: torch.Tensor, geometry: ConeBeamGeometry, initial: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Reconstructs; arguments and result are those of :class:`bundle.classical.methods.Method`."""
        projections = projections.float()
        steps = SubsetSteps(geometry, self.subsets or MOST_SUBSETS, projections)
        volume = starting_volume(projections, geometry, initial)
        for _ in range(self.iterations):
            volume = steps.sweep(volume, projections, self.relaxation, self.positive)
        return volume


def starting_volume(
    projections: torch.Tensor, geometry: ConeBeamGeometry, initial: torch.Tensor | None
) -> torch.Tensor:
    """The volume that an iteration starts from: the given one, or zeros."""
    if initial is None:
        return projections.new_zeros(len(projections), 1, *geometry.volume_shape)
    return initial.to(projections)


def inverse_sums(sums: torch.Tensor) -> torch.Tensor:
    """One over the sums; zero for rays and voxels that hardly meet."""
    return torch.where(sums > _NOT_CROSSED * sums.max(), 1.0 / sums, 0.0)

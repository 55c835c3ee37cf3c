"""Steps that bring a network's volume into agreement with the measured projections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch

from bundle.classical.cgls import cgls_iterates
from bundle.classical.noise_variance import noise_variance
from bundle.classical.sart import MOST_SUBSETS, SubsetSteps
from bundle.errors import InputError
from bundle.geometry import ConeBeamGeometry
from bundle.physics.attenuation import MU_WATER_PER_MM
from bundle.physics.noise import DetectorNoise
from bundle.projector import ConeBeamProjector

__all__ = ["DataConsistency"]

_CG_BURST = 3


@dataclass(frozen=True)
class DataConsistency:
    """A few SART or CGLS steps from a given volume, stopped when what is left of the residual is noise.

    By the discrepancy principle (V. A. Morozov, 1966) iterating goes on only while the residual is larger than
    ``tolerance`` times the noise: fitting it further would put noise into the volume. A network's volume also has
    errors that no volume of its resolution explains, so that the residual may never come down to the noise; steps
    that lower it by less than ``least_progress`` end it, too.

    Args:
        method: "sart" (a step is a pass over all views) or "cgls" (a step is three conjugate gradient steps).
        max_steps: largest number of steps.
        noise: the detector's noise; none, and so no discrepancy rule, if None.
        tolerance: factor on the noise's expected norm.
        least_progress: smallest relative decrease of the residual that is worth another step.
        relaxation: SART's.
        hu_window: HU at the volume's 0 and 1, the lower one air; with the attenuation of water it turns the noise of
            p = -ln(I / I0) into that of the projections.
        mu_water_per_mm: attenuation of water at the beam's effective energy.

    Raises:
        InputError: when an option is invalid.
    """

    method: str = "sart"
    max_steps: int = 10
    noise: DetectorNoise | None = None
    tolerance: float = 1.0
    least_progress: float = 0.02
    relaxation: float = 0.5
    hu_window: Sequence[float] = (-1000.0, 1000.0)
    mu_water_per_mm: float = MU_WATER_PER_MM

    def __post_init__(self) -> None:
        if self.method not in ("sart", "cgls"):
            raise InputError("refine method", f"is {self.method!r}.", "Use sart or cgls.")
        for name in ("max_steps", "tolerance", "relaxation"):
            if getattr(self, name) <= 0:
                raise InputError(f"refine {name}", f"is {getattr(self, name)}.", "Give a positive number.")
        if not 0 <= self.least_progress < 1:
            raise InputError("refine least_progress", f"is {self.least_progress}.", "Give a fraction below one.")
        self.noise_variance(torch.zeros(1))  # refuses a noise whose level is not known

    def noise_variance(self, projections: torch.Tensor) -> torch.Tensor | None:
        """Expected variance of each projection value, [B, views, V, U] in (value times mm)^2; None without noise."""
        if self.noise is None:
            return None
        return noise_variance(self.noise, projections, self.hu_window, self.mu_water_per_mm)

    def __call__(
        self, projections: torch.Tensor, geometry: ConeBeamGeometry, initial: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Refines.

        Args:
            projections: [B, views, V, U] line integrals in value times mm.
            geometry: the scan.
            initial: [B, 1, X, Y, Z] the network's volume.

        Returns:
            [B, 1, X, Y, Z], nowhere below zero; the input itself if it already explains all but the noise.
        """
        if initial is None:
            raise ValueError("data consistency refines a volume: give initial.")
        return torch.cat(
            [self._refine(p[None].float(), geometry, x[None].float()) for p, x in zip(projections, initial)]
        )

    def _refine(self, projections: torch.Tensor, geometry: ConeBeamGeometry, volume: torch.Tensor) -> torch.Tensor:
        projector = ConeBeamProjector(geometry)
        variance = self.noise_variance(projections)
        wanted = 0.0 if variance is None else self.tolerance * float(variance.sum().sqrt())
        volume = volume.clamp(min=0.0)
        left = float((projections - projector(volume)).norm())
        steps = self._iterates(projections, geometry, volume)
        for _ in range(self.max_steps):
            if left <= wanted:
                break
            candidate = next(steps)
            now = float((projections - projector(candidate)).norm())
            if now > (1.0 - self.least_progress) * left:
                return candidate if now < left else volume
            volume, left = candidate, now
        return volume

    def _iterates(
        self, projections: torch.Tensor, geometry: ConeBeamGeometry, volume: torch.Tensor
    ) -> Iterator[torch.Tensor]:
        steps = SubsetSteps(geometry, MOST_SUBSETS, volume) if self.method == "sart" else None
        while True:
            if steps is not None:
                volume = steps.sweep(volume, projections, self.relaxation, positive=True)
            else:  # begun anew after each cut at zero, which conjugate directions know nothing of
                burst = islice(cgls_iterates(projections, geometry, volume), _CG_BURST - 1, None)
                volume = next(burst)[0].clamp(min=0.0)
            yield volume

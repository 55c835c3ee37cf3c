"""From a volume to what a detector reports of it, with as much physics as is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from bundle.errors import InputError
from bundle.physics.attenuation import (
    MU_WATER_PER_MM,
    normalised_to_attenuation,
    unit_integral_to_normalised,
    unit_to_hu,
)
from bundle.physics.beam_hardening import PolychromaticBeam
from bundle.physics.metal import MetalInsert, RandomMetal, metal_fractions, mix_metal
from bundle.physics.noise import DetectorNoise
from bundle.physics.scatter import SmoothScatter
from bundle.physics.spectrum import MATERIALS
from bundle.projector import ConeBeamProjector

__all__ = ["Acquisition"]


@dataclass(frozen=True)
class Acquisition:
    """The steps between a volume and its measured projections, in the order in which they happen.

    Metal is put into the body, the beam is attenuated, scatter and noise are added, and the scanner corrects for
    water. Every step is left out unless given; without any the result is the line integral of attenuation alone.

    Args:
        metal: inserts, or how to place them at random; they are in the projections only, not in the volume.
        beam: spectrum and detector; one energy, that of MU_WATER_PER_MM, if None.
        scatter: scattered radiation.
        noise: detector noise.
        water_correction: whether p is corrected for the beam's hardening in water, as scanners do.

    Raises:
        InputError: when an entry is not a component, or water is to be corrected for without a beam.
    """

    metal: RandomMetal | Sequence[MetalInsert] | None = None
    beam: PolychromaticBeam | None = None
    scatter: SmoothScatter | None = None
    noise: DetectorNoise | None = None
    water_correction: bool = False

    def __post_init__(self) -> None:
        for name in ("beam", "scatter", "noise"):
            component = getattr(self, name)
            if component is not None and not callable(component):
                raise InputError(
                    f"acquisition.{name}", f"is a {type(component).__name__}.", "Give it its class as _target_."
                )
        metal = self.metal
        is_list = isinstance(metal, Sequence) and all(isinstance(part, MetalInsert) for part in metal)
        if not (metal is None or isinstance(metal, RandomMetal) or is_list):
            raise InputError("acquisition.metal", "is not a list of inserts.", "Give MetalInserts or a RandomMetal.")
        if self.water_correction and self.beam is None:
            raise InputError("acquisition.water_correction", "is on without a beam.", "Give a beam, or turn it off.")

    @property
    def mu_water_per_mm(self) -> float:
        """Attenuation of water that turns the result back into HU with water at zero."""
        if self.beam is None or self.water_correction:
            return MU_WATER_PER_MM
        return self.beam.effective_mu_water_per_mm()

    def __call__(
        self,
        volume: torch.Tensor,
        projector: ConeBeamProjector,
        hu_window: Sequence[float],
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Simulates a scan on the volume's device.

        Args:
            volume: [B, 1, X, Y, Z] volume in [0, 1] over the HU window.
            projector: the scan.
            hu_window: HU at 0 and 1.
            generator: source of randomness on the volume's device; the global one if None.

        Returns:
            [B, views, V, U] p = -ln(I / I0).

        Raises:
            InputError: when the HU window does not start at air and no beam is given, or metal finds no place.
        """
        primary = self.attenuate(volume, projector, hu_window, generator)
        return self.measure(primary, projector.geometry.pixel_mm, generator)

    def attenuate(
        self,
        volume: torch.Tensor,
        projector: ConeBeamProjector,
        hu_window: Sequence[float],
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """The first steps: metal and the attenuation of the primary beam. Arguments and result as in __call__."""
        fractions = self._place_metal(volume, projector, hu_window, generator)
        if self.beam is None:
            if fractions:
                hu = mix_metal(unit_to_hu(volume, hu_window), fractions)
                volume = (hu - hu_window[0]) / (hu_window[1] - hu_window[0])  # hu_to_unit would clip the metal
            return normalised_to_attenuation(unit_integral_to_normalised(projector(volume)), hu_window)
        densities = self.beam.densities(unit_to_hu(volume, hu_window))
        if fractions:
            body = 1.0 - sum(fractions.values())
            densities = {name: density * body for name, density in densities.items()}
            for name, fraction in fractions.items():
                metal = fraction * MATERIALS[name].density_g_per_cm3
                densities[name] = densities[name] + metal if name in densities else metal
        # In one call, since the rays are the same for all materials; mm times g/cm^3 is a tenth of g/cm^2.
        areal = projector(torch.cat(list(densities.values()))) / 10.0
        return self.beam(dict(zip(densities, areal.split(len(volume)))))

    def measure(
        self, attenuation: torch.Tensor, pixel_mm: Sequence[float], generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """The last steps: scatter, noise and the correction for water.

        Args:
            attenuation: [B, views, V, U] p of the primary beam.
            pixel_mm: pixel pitch (v, u).
            generator: source of randomness on the tensor's device; the global one if None.

        Returns:
            [B, views, V, U] p; the input itself without any of these steps.
        """
        if self.scatter is not None:
            attenuation = self.scatter(attenuation, pixel_mm)
        if self.noise is not None:
            attenuation = self.noise(attenuation, generator)
        if self.water_correction and self.beam is not None:
            attenuation = self.beam.water_correction(attenuation)
        return attenuation

    def _place_metal(
        self,
        volume: torch.Tensor,
        projector: ConeBeamProjector,
        hu_window: Sequence[float],
        generator: torch.Generator | None,
    ) -> dict[str, torch.Tensor]:
        """[B, 1, X, Y, Z] shares of the voxels that each metal fills; empty without metal."""
        if not self.metal:
            return {}
        geometry = projector.geometry
        cases = []
        for item in volume[:, 0]:
            inserts = self.metal
            if isinstance(inserts, RandomMetal):
                inserts = inserts.place(unit_to_hu(item, hu_window), geometry, generator)
            cases.append(metal_fractions(inserts, geometry, volume))
        none = volume.new_zeros(geometry.volume_shape)
        materials = dict.fromkeys(name for case in cases for name in case)
        return {name: torch.stack([case.get(name, none) for case in cases])[:, None] for name in materials}

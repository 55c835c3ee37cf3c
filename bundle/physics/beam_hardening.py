"""Polychromatic projections, and the correction for water that scanners apply to them.

The signal of a beam with the share w(E) of each energy behind the areal densities t_m of materials m is

    I / I0 = sum over E of w(E) exp(-sum over m of (mu / rho)_m(E) t_m),    p = -ln(I / I0).

Soft photons are lost first, so p grows more slowly than the material: beam hardening.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from bundle.errors import InputError
from bundle.physics.attenuation import MU_WATER_PER_MM
from bundle.physics.spectrum import REFERENCE_KEV, XraySpectrum, mass_attenuation

__all__ = ["BONE_HU", "PolychromaticBeam", "WaterCorrection", "basis_densities"]

BONE_HU = (100.0, 1500.0)
"""HU up to which a voxel is water, and from which on it is bone."""

_RAYS_AT_ONCE = 2**14  # times some hundred energies: few enough exponents to stay in a processor's cache
_TABLE_G_PER_CM2 = 120.0  # 1.2 m of water, far more than a noisy count can show
_TABLE_NODES = 4096


def basis_densities(hu: torch.Tensor, bone_hu: Sequence[float] = BONE_HU) -> dict[str, torch.Tensor]:
    """Splits HU into densities of water and of cortical bone.

    A voxel is water up to the lower HU, bone from the upper HU on, and in between its attenuation is shared linearly
    (the soft threshold of Zhang and Yu, "Convolutional neural network based metal artifact reduction in X-ray computed
    tomography", IEEE Transactions on Medical Imaging 37(6), 2018). Both together attenuate as the HU say at the
    reference energy.

    Args:
        hu: any shape.
        bone_hu: the two thresholds.

    Returns:
        "water" and "bone", g/cm^3, shaped as hu.
    """
    low, high = bone_hu
    mu_per_cm = 10.0 * MU_WATER_PER_MM * (1.0 + hu / 1000.0)
    bone = ((hu - low) / (high - low)).clamp(0.0, 1.0)
    shares = {"water": 1.0 - bone, "bone": bone}
    return {name: share * mu_per_cm / _reference(name) for name, share in shares.items()}


@dataclass(frozen=True)
class PolychromaticBeam:
    """An X-ray beam with a spectrum, and the detector that measures it.

    Args:
        spectrum: photons per energy.
        detector: "energy_integrating" (flat panels) or "photon_counting".
        bone_hu: HU up to which a voxel is water and from which on it is bone.

    Raises:
        InputError: when the spectrum is none, the detector is unknown, or the thresholds do not increase.
    """

    spectrum: XraySpectrum
    detector: str = "energy_integrating"
    bone_hu: Sequence[float] = BONE_HU

    def __post_init__(self) -> None:
        if not isinstance(self.spectrum, XraySpectrum):
            raise InputError(
                "beam.spectrum",
                f"is a {type(self.spectrum).__name__}.",
                "Give an XraySpectrum, or bundle.physics.spectrum.tube_spectrum as _target_.",
            )
        self.spectrum.signal_weights(self.detector)
        if len(self.bone_hu) != 2 or not self.bone_hu[0] < self.bone_hu[1]:
            raise InputError("beam.bone_hu", f"is {list(self.bone_hu)}.", "Give two HU, the lower first.")
        object.__setattr__(self, "bone_hu", tuple(float(value) for value in self.bone_hu))

    def __call__(self, areal_densities: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Attenuation behind several materials.

        Args:
            areal_densities: for each material the integral of its density along the ray in g/cm^2, all of one shape.

        Returns:
            p = -ln(I / I0), of the same shape, type and device.

        Raises:
            InputError: when no material is given, one is unknown, or shapes differ.
        """
        paths = list(areal_densities.values())
        if len({path.shape for path in paths}) != 1:
            raise InputError("areal_densities", "has no materials, or of different shapes.", "Give one for each ray.")
        energies_kev, weights = self._signal
        mass = [mass_attenuation(name, energies_kev) for name in areal_densities]
        log_weights = paths[0].new_tensor(np.log(weights))[:, None]
        coefficients = [paths[0].new_tensor(values)[:, None] for values in mass]
        pieces = []
        for rays in zip(*(path.reshape(-1).split(_RAYS_AT_ONCE) for path in paths)):
            exponents = log_weights - coefficients[0] * rays[0]
            for coefficient, path in zip(coefficients[1:], rays[1:]):
                exponents = exponents - coefficient * path
            pieces.append(-torch.logsumexp(exponents, dim=0))
        return torch.cat(pieces).reshape(paths[0].shape)

    def densities(self, hu: torch.Tensor) -> dict[str, torch.Tensor]:
        """Densities of "water" and "bone" in g/cm^3 of a volume in HU, any shape."""
        return basis_densities(hu, self.bone_hu)

    def effective_mu_water_per_mm(self, depth_mm: float = 200.0) -> float:
        """Mean attenuation of the first depth_mm of 0 HU, which a scanner would be calibrated with as water."""
        densities = self.densities(torch.zeros(1, dtype=torch.float64))
        return float(self({name: density * (depth_mm / 10.0) for name, density in densities.items()})) / depth_mm

    @cached_property
    def water_correction(self) -> WaterCorrection:
        """The correction that makes water linear."""
        return WaterCorrection.of(self)

    @property
    def _signal(self) -> tuple[np.ndarray, np.ndarray]:
        """Energies that are there, in keV, and their shares in the signal."""
        weights = self.spectrum.signal_weights(self.detector)
        present = weights > 0
        return np.array(self.spectrum.energies_kev)[present], weights[present]


@dataclass(frozen=True, eq=False)
class WaterCorrection:
    """Maps the polychromatic p of water to what a beam of the reference energy alone would show.

    The usual first-order correction of beam hardening (Herman, Physics in Medicine and Biology 24, 1979). A fine table
    of the monotone curve is interpolated linearly; beyond its ends, where only noise leads, it goes on straight.

    Args:
        measured: [nodes] increasing p of the beam behind water.
        corrected: [nodes] p at the reference energy behind the same water.
    """

    measured: np.ndarray
    corrected: np.ndarray

    @classmethod
    def of(cls, beam: PolychromaticBeam) -> WaterCorrection:
        """The correction for a beam."""
        water = torch.linspace(0.0, _TABLE_G_PER_CM2, _TABLE_NODES, dtype=torch.float64)
        return cls(beam({"water": water}).numpy(), water.numpy() * _reference("water"))

    def __call__(self, attenuation: torch.Tensor) -> torch.Tensor:
        """Corrects p, any shape; negative values, which noise makes, are allowed."""
        measured = attenuation.new_tensor(self.measured)
        corrected = attenuation.new_tensor(self.corrected)
        slope = attenuation.new_tensor(np.diff(self.corrected) / np.diff(self.measured))
        left = (torch.searchsorted(measured, attenuation.contiguous()) - 1).clamp(0, len(slope) - 1)
        return corrected[left] + slope[left] * (attenuation - measured[left])


def _reference(material: str) -> float:
    """Mass attenuation at the reference energy, cm^2/g."""
    return float(mass_attenuation(material, [REFERENCE_KEV])[0])

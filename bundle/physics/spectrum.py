"""X-ray spectra, and how the materials in a scan attenuate each energy.

Attenuation coefficients come from the package xraydb (tables of Elam, Ravel and Sieber, Radiation Physics and
Chemistry 63, 2002: photoelectric absorption plus coherent and incoherent scatter), tube spectra from the package
spekpy (Poludniowski, Omar, Bujila and Andreo, Medical Physics 48, 2021). Both are only imported when asked for, read
nothing but their own tables, and need no network.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bundle.errors import InputError
from bundle.optional import require

__all__ = [
    "DETECTORS",
    "MATERIALS",
    "REFERENCE_KEV",
    "Material",
    "XraySpectrum",
    "linear_attenuation_per_mm",
    "mass_attenuation",
    "tube_spectrum",
]

REFERENCE_KEV = 60.0
"""The energy at which MU_WATER_PER_MM holds, and with it the HU of every volume."""

DETECTORS = ("energy_integrating", "photon_counting")
_ENERGY_RANGE_KEV = (1.0, 500.0)
_TUBE_RANGE_KV = (20.0, 300.0)


@dataclass(frozen=True)
class Material:
    """What a material consists of.

    Args:
        density_g_per_cm3: mass density.
        mass_fractions: share of each chemical element, by mass; they sum to one.
    """

    density_g_per_cm3: float
    mass_fractions: Mapping[str, float]


# Water, aluminium and cortical bone: NIST Standard Reference Database 126, tables 1 and 2 (bone from ICRU Report 44).
# Stainless steel: type 316L; cobalt-chromium: ASTM F75, the middle of its ranges; titanium and gold: the elements.
# Amalgam: a dispersed-phase powder (69 % Ag, 18 % Sn, 12 % Cu, 1 % Zn) with as much mercury; its density is that of
# the volumes of its elements added up.
MATERIALS: Mapping[str, Material] = {
    "water": Material(1.0, {"H": 0.111898, "O": 0.888102}),
    "bone": Material(
        1.92,
        {
            "H": 0.034,
            "C": 0.155,
            "N": 0.042,
            "O": 0.435,
            "Na": 0.001,
            "Mg": 0.002,
            "P": 0.103,
            "S": 0.003,
            "Ca": 0.225,
        },
    ),
    "aluminium": Material(2.699, {"Al": 1.0}),
    "titanium": Material(4.54, {"Ti": 1.0}),
    "stainless_steel": Material(8.0, {"Fe": 0.668, "Cr": 0.17, "Ni": 0.12, "Mo": 0.025, "Mn": 0.01, "Si": 0.007}),
    "cobalt_chromium": Material(8.3, {"Co": 0.655, "Cr": 0.285, "Mo": 0.06}),
    "amalgam": Material(11.2, {"Hg": 0.5, "Ag": 0.345, "Sn": 0.09, "Cu": 0.06, "Zn": 0.005}),
    "gold": Material(19.32, {"Au": 1.0}),
}
"""Names that simulated objects may be made of."""


@dataclass(frozen=True)
class XraySpectrum:
    """Photons per energy of a beam, normalised.

    Args:
        energies_kev: energies, increasing; the centres of the bins of a sampled spectrum.
        photons: photons at each energy, in any unit; they are divided by their sum.

    Raises:
        InputError: when the lists differ in length, energies do not increase or leave 1 to 500 keV, or photons are
            negative, not finite, or all zero.
    """

    energies_kev: Sequence[float]
    photons: Sequence[float]

    def __post_init__(self) -> None:
        try:
            energies = np.asarray(self.energies_kev, dtype=np.float64).reshape(-1)
            photons = np.asarray(self.photons, dtype=np.float64).reshape(-1)
        except (TypeError, ValueError):
            raise InputError("spectrum", "has entries that are not numbers.", "Give two lists of numbers.") from None
        if len(energies) != len(photons) or len(energies) == 0:
            raise InputError(
                "spectrum", f"has {len(energies)} energies and {len(photons)} photon numbers.", "Give one per energy."
            )
        low, high = _ENERGY_RANGE_KEV
        if not (np.all(np.diff(energies) > 0) and energies[0] >= low and energies[-1] <= high):
            raise InputError(
                "spectrum.energies_kev",
                f"does not increase, or leaves the range {low:g} to {high:g}.",
                "Give increasing energies in keV.",
            )
        if not np.isfinite(photons).all() or photons.min() < 0 or photons.sum() <= 0:
            raise InputError(
                "spectrum.photons", "is negative, not finite, or zero everywhere.", "Give counts of at least zero."
            )
        object.__setattr__(self, "energies_kev", tuple(energies.tolist()))
        object.__setattr__(self, "photons", tuple((photons / photons.sum()).tolist()))

    @property
    def mean_energy_kev(self) -> float:
        """Mean energy of a photon."""
        return float(np.dot(self.energies_kev, self.photons))

    def signal_weights(self, detector: str = "energy_integrating") -> np.ndarray:
        """Share of each energy in the signal of the open beam.

        An ideal detector is meant, which stops every photon: one that integrates energy, as flat panels do, weights a
        photon by its energy, one that counts photons weights all alike.

        Args:
            detector: "energy_integrating" or "photon_counting".

        Returns:
            [energies] float64, with the sum one.

        Raises:
            InputError: when the detector is unknown.
        """
        if detector not in DETECTORS:
            raise InputError("detector", f"is {detector!r}.", f"Use one of {DETECTORS}.")
        weights = np.array(self.photons)
        if detector == "energy_integrating":
            weights = weights * self.energies_kev
        return weights / weights.sum()


@functools.lru_cache(maxsize=16)
def tube_spectrum(
    kvp: float,
    aluminium_mm: float,
    copper_mm: float = 0.0,
    anode_angle_deg: float = 12.0,
    bin_kev: float = 1.0,
) -> XraySpectrum:
    """Spectrum of a tungsten tube behind its filters, from the package spekpy.

    Args:
        kvp: tube voltage in kV.
        aluminium_mm: aluminium in the beam, inherent filtration included.
        copper_mm: copper in the beam.
        anode_angle_deg: angle of the anode's surface with the beam's axis.
        bin_kev: width of the energy bins.

    Raises:
        InputError: when a number is out of range.
        ImportError: when spekpy is missing.
    """
    low, high = _TUBE_RANGE_KV
    if not low <= kvp <= high:
        raise InputError("spectrum.kvp", f"is {kvp}.", f"Give {low:g} to {high:g} kV.")
    if not (aluminium_mm >= 0 and copper_mm >= 0):
        raise InputError(
            "spectrum", f"has filters of {aluminium_mm} mm Al and {copper_mm} mm Cu.", "Give at least zero."
        )
    if not 1 <= anode_angle_deg <= 45:
        raise InputError("spectrum.anode_angle_deg", f"is {anode_angle_deg}.", "Give 1 to 45 degrees.")
    if not 0.1 <= bin_kev <= 5:
        raise InputError("spectrum.bin_kev", f"is {bin_kev}.", "Give 0.1 to 5 keV.")
    spekpy = require("spekpy", "spekpy", "Computing a tube spectrum")
    tube = spekpy.Spek(kvp=float(kvp), th=float(anode_angle_deg), dk=float(bin_kev), targ="W")
    tube.filter("Al", float(aluminium_mm))
    tube.filter("Cu", float(copper_mm))
    energies_kev, photons = tube.get_spectrum()
    kept = photons > 0
    return XraySpectrum(energies_kev[kept], photons[kept])


def mass_attenuation(material: str, energies_kev: Sequence[float] | np.ndarray) -> np.ndarray:
    """Mass attenuation coefficients mu / rho in cm^2/g.

    The mixture rule: the sum of the elements' coefficients, weighted with their mass fractions.

    Args:
        material: a name in MATERIALS.
        energies_kev: [energies].

    Returns:
        [energies] float64.

    Raises:
        InputError: when the material is unknown.
        ImportError: when xraydb is missing.
    """
    if material not in MATERIALS:
        raise InputError("material", f"is {material!r}.", f"Use one of {', '.join(MATERIALS)}.")
    return np.array(_mass_attenuation(material, tuple(float(energy) for energy in energies_kev)))


@functools.lru_cache(maxsize=128)
def _mass_attenuation(material: str, energies_kev: tuple[float, ...]) -> tuple[float, ...]:
    """The coefficients, kept, since every scan of a data set asks for the same ones."""
    xraydb = require("xraydb", "xraydb", "Looking up attenuation coefficients")
    energies_ev = np.array(energies_kev) * 1000.0
    fractions = MATERIALS[material].mass_fractions
    total = sum(share * xraydb.mu_elam(element, energies_ev) for element, share in fractions.items())
    return tuple(total.tolist())


def linear_attenuation_per_mm(material: str, energy_kev: float = REFERENCE_KEV) -> float:
    """Linear attenuation coefficient of a solid material.

    Args:
        material: a name in MATERIALS.
        energy_kev: photon energy.

    Raises:
        InputError: when the material is unknown.
        ImportError: when xraydb is missing.
    """
    per_cm = mass_attenuation(material, [energy_kev])[0] * MATERIALS[material].density_g_per_cm3
    return float(per_cm / 10.0)

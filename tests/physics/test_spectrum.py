from __future__ import annotations

import math

import numpy as np
import pytest

from bundle.errors import InputError
from bundle.physics.attenuation import MU_WATER_PER_MM
from bundle.physics.spectrum import (
    MATERIALS,
    XraySpectrum,
    linear_attenuation_per_mm,
    mass_attenuation,
    tube_spectrum,
)

# NIST Standard Reference Database 126, tables 3 and 4: cm^2/g at these energies in keV.
NIST = {
    "water": {20: 0.8096, 30: 0.3756, 40: 0.2683, 60: 0.2059, 80: 0.1837, 100: 0.1707, 150: 0.1505},
    "bone": {20: 4.001, 30: 1.331, 40: 0.6655, 60: 0.3148, 80: 0.2229, 100: 0.1855, 150: 0.1480},
    "aluminium": {30: 1.128, 60: 0.2778, 100: 0.1704},
    "titanium": {30: 4.972, 60: 0.7661, 100: 0.2721},
    "gold": {60: 4.528, 80: 2.185, 100: 5.158, 150: 1.860},  # the K edge is at 80.7 keV
}


@pytest.mark.parametrize("material", NIST)
def test_coefficients_agree_with_nist(material):
    pytest.importorskip("xraydb", reason="the package with attenuation coefficients is not installed")
    energies = list(NIST[material])
    np.testing.assert_allclose(mass_attenuation(material, energies), list(NIST[material].values()), rtol=0.01)


def test_mixture_of_two_elements_that_nist_lists():
    """Steel between iron and its alloying elements; iron at 60 keV is 1.205, molybdenum 4.2 cm^2/g or more."""
    pytest.importorskip("xraydb", reason="the package with attenuation coefficients is not installed")
    steel = mass_attenuation("stainless_steel", [60.0])[0]
    assert 1.205 < steel < 1.4


def test_the_project_constant_is_water_at_the_reference_energy():
    pytest.importorskip("xraydb", reason="the package with attenuation coefficients is not installed")
    assert linear_attenuation_per_mm("water") == pytest.approx(MU_WATER_PER_MM, rel=1e-3)
    assert linear_attenuation_per_mm("titanium", 60.0) == pytest.approx(0.7661 * 4.54 / 10, rel=0.01)


@pytest.mark.parametrize("material", MATERIALS)
def test_mass_fractions_add_up(material):
    assert sum(MATERIALS[material].mass_fractions.values()) == pytest.approx(1.0, abs=2e-3)


def test_amalgam_density_is_that_of_its_elements_volumes():
    densities = {"Hg": 13.534, "Ag": 10.49, "Sn": 7.287, "Cu": 8.96, "Zn": 7.14}
    volume = sum(share / densities[element] for element, share in MATERIALS["amalgam"].mass_fractions.items())
    assert MATERIALS["amalgam"].density_g_per_cm3 == pytest.approx(1 / volume, rel=0.01)


def test_unknown_material_is_refused():
    with pytest.raises(InputError, match="unobtainium"):
        mass_attenuation("unobtainium", [60.0])


def test_spectrum_is_normalised_and_weighted():
    spectrum = XraySpectrum([40, 100], [3, 1])
    assert spectrum.photons == (0.75, 0.25)
    assert spectrum.mean_energy_kev == pytest.approx(55.0)
    np.testing.assert_allclose(spectrum.signal_weights("photon_counting"), [0.75, 0.25])
    np.testing.assert_allclose(spectrum.signal_weights(), [120 / 220, 100 / 220])
    assert spectrum == XraySpectrum((40.0, 100.0), np.array([6.0, 2.0]))


@pytest.mark.parametrize(
    ("energies", "photons"),
    [
        ([], []),
        ([50, 60], [1]),
        ([60, 50], [1, 1]),
        ([60, 60], [1, 1]),
        ([0.06], [1]),
        ([60000], [1]),
        ([math.nan], [1]),
        ([60], [0]),
        ([50, 60], [1, -1]),
        ([60], [math.inf]),
        (["sixty"], [1]),
    ],
)
def test_impossible_spectra_are_refused(energies, photons):
    with pytest.raises(InputError, match="spectrum"):
        XraySpectrum(energies, photons)


def test_unknown_detector_is_refused():
    with pytest.raises(InputError, match="film"):
        XraySpectrum([60], [1]).signal_weights("film")


def spekpy():
    return pytest.importorskip("spekpy", reason="the package with tube spectra is not installed")


def test_tube_spectrum_ends_at_the_voltage_and_has_tungsten_lines():
    """The K-alpha lines of tungsten, 57.98 and 59.32 keV, only appear above its K edge at 69.5 keV."""
    spekpy()
    hard, soft = tube_spectrum(120, 2.5), tube_spectrum(65, 2.5)
    assert 119 <= max(hard.energies_kev) <= 120
    assert 64 <= max(soft.energies_kev) <= 65
    for spectrum, has_line in [(hard, True), (soft, False)]:
        photons = dict(zip(np.floor(spectrum.energies_kev), spectrum.photons))
        assert (photons[59] > 1.3 * photons[55]) == has_line


def test_mean_energy_of_a_tube():
    """A lightly filtered 120 kV beam has a mean energy of nearly half its voltage; copper hardens it."""
    spekpy()
    light, hard = tube_spectrum(120, 2.5), tube_spectrum(120, 2.5, copper_mm=0.5)
    assert 50 < light.mean_energy_kev < 60
    assert hard.mean_energy_kev > light.mean_energy_kev + 5


def test_filters_follow_beer_and_lambert():
    """Two programs' tables: spekpy filters the beam, xraydb says by how much."""
    spekpy()
    pytest.importorskip("xraydb", reason="the package with attenuation coefficients is not installed")
    thin, thick = tube_spectrum(100, 1.0), tube_spectrum(100, 6.0)
    energies = np.array(thin.energies_kev)
    expected = np.array(thin.photons) * np.exp(-mass_attenuation("aluminium", energies) * 2.699 * 0.5)
    thick_photons = np.interp(energies, thick.energies_kev, thick.photons, left=0.0)
    np.testing.assert_allclose(thick_photons, expected / expected.sum(), atol=0.01 * thick_photons.max())


@pytest.mark.parametrize(
    "change",
    [{"kvp": 5}, {"kvp": 1200}, {"aluminium_mm": -1}, {"copper_mm": -1}, {"anode_angle_deg": 0}, {"bin_kev": 50}],
)
def test_impossible_tubes_are_refused(change):
    with pytest.raises(InputError, match="spectrum"):
        tube_spectrum(**{"kvp": 120, "aluminium_mm": 2.5, **change})

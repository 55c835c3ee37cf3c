from __future__ import annotations

import numpy as np
import pytest
import torch

from bundle.errors import InputError
from bundle.phantoms import Ellipsoid, line_integrals
from bundle.physics.attenuation import MU_WATER_PER_MM
from bundle.physics.beam_hardening import PolychromaticBeam, basis_densities
from bundle.physics.spectrum import REFERENCE_KEV, XraySpectrum, mass_attenuation, tube_spectrum

pytest.importorskip("xraydb", reason="the package with attenuation coefficients is not installed")

THREE_LINES = XraySpectrum([40.0, 60.0, 100.0], [1.0, 2.0, 0.5])


@pytest.fixture(scope="module")
def tube() -> XraySpectrum:
    pytest.importorskip("spekpy", reason="the package with tube spectra is not installed")
    return tube_spectrum(120, 2.5, bin_kev=2.0)


def test_sum_over_energies_by_hand():
    """Beer and Lambert, one energy after the other, with the coefficients that NIST lists (cm^2/g)."""
    lines = [(40.0, 1.0, 0.2683, 0.6655), (60.0, 2.0, 0.2059, 0.3148), (100.0, 0.5, 0.1707, 0.1855)]
    water, bone = torch.tensor([[0.0, 20.0, 7.0]]), torch.tensor([[0.0, 0.0, 5.0]])
    measured = PolychromaticBeam(THREE_LINES)({"bone": bone, "water": water})
    assert measured.shape == (1, 3)
    open_beam = sum(photons * energy for energy, photons, _, _ in lines)
    for ray in range(3):
        signal = sum(
            photons * energy * np.exp(-float(water[0, ray]) * of_water - float(bone[0, ray]) * of_bone)
            for energy, photons, of_water, of_bone in lines
        )
        assert float(measured[0, ray]) == pytest.approx(-np.log(signal / open_beam), rel=2e-3, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_energy_is_beer_and_lambert(dtype):
    beam = PolychromaticBeam(XraySpectrum([REFERENCE_KEV], [1.0]))
    water, bone = torch.rand(2, 3, 5, dtype=dtype) * 30, torch.rand(2, 3, 5, dtype=dtype) * 8
    expected = water * mass_attenuation("water", [60.0])[0] + bone * mass_attenuation("bone", [60.0])[0]
    measured = beam({"water": water, "bone": bone})
    assert measured.dtype == dtype
    torch.testing.assert_close(measured, expected, rtol=3e-7, atol=0)


def test_rays_beyond_a_piece_are_like_the_first(monkeypatch):
    monkeypatch.setattr("bundle.physics.beam_hardening._RAYS_AT_ONCE", 4)
    water = torch.linspace(0, 40, 11)
    pieces = PolychromaticBeam(THREE_LINES)({"water": water})
    monkeypatch.undo()
    assert torch.equal(pieces, PolychromaticBeam(THREE_LINES)({"water": water}))


def test_opaque_rays_stay_finite():
    measured = PolychromaticBeam(THREE_LINES)({"gold": torch.tensor([0.0, 500.0])})
    assert float(measured[0]) == pytest.approx(0.0, abs=1e-6)
    # Only 60 keV counts, which gold stops least; its share in the signal is 120 of 210.
    assert float(measured[1]) == pytest.approx(4.528 * 500 - np.log(120 / 210), rel=0.01)


def test_water_layer_agrees_with_spekpy(tube):
    """Another program filters the same tube by 15 cm of water and counts the photons that remain."""
    spekpy = pytest.importorskip("spekpy", reason="the package with tube spectra is not installed")
    witness = spekpy.Spek(kvp=120, th=12, dk=2.0, targ="W")
    witness.filter("Al", 2.5)
    before = witness.get_flu()
    witness.filter("Water, Liquid", 150.0)
    measured = PolychromaticBeam(tube, "photon_counting")({"water": torch.tensor([15.0], dtype=torch.float64)})
    assert float(measured) == pytest.approx(-np.log(witness.get_flu() / before), rel=5e-3)


def test_split_into_water_and_bone():
    hu = torch.tensor([-1000.0, 0.0, 100.0, 800.0, 1500.0, 2500.0], dtype=torch.float64)
    densities = basis_densities(hu)
    assert densities["bone"][:3].tolist() == [0, 0, 0]
    assert densities["water"][[0, 4, 5]].tolist() == [0, 0, 0]
    assert float(densities["water"][1]) == pytest.approx(1.0, rel=1e-3)
    bone_at_1500 = 10 * MU_WATER_PER_MM * 2.5 / 0.3148
    assert float(densities["bone"][4]) == pytest.approx(bone_at_1500, rel=1e-2)
    assert float(densities["bone"][3]) == pytest.approx(0.5 * bone_at_1500 * 1.8 / 2.5, rel=1e-2)  # half of 800 HU


def test_densities_attenuate_as_the_hu_say_at_the_reference_energy():
    hu = torch.linspace(-1000, 3000, 41, dtype=torch.float64)
    beam = PolychromaticBeam(XraySpectrum([REFERENCE_KEV], [1.0]), bone_hu=[200, 1200])
    through_1_cm = beam(beam.densities(hu))
    torch.testing.assert_close(through_1_cm, 10 * MU_WATER_PER_MM * (1 + hu / 1000), rtol=1e-12, atol=1e-12)


def test_detectors_differ():
    """An energy-integrating detector sees the hard photons better, so the same water attenuates less."""
    water = {"water": torch.tensor([20.0])}
    assert float(PolychromaticBeam(THREE_LINES)(water)) < float(
        PolychromaticBeam(THREE_LINES, "photon_counting")(water)
    )


def water_ellipsoid(scan) -> tuple[torch.Tensor, torch.Tensor]:
    """Exact path in mm through an off-centre ellipsoid of water [view, v, u], and the mask of rays that hit it."""
    geometry = scan.geometry([0.3, 1.7])
    paths = line_integrals([Ellipsoid((9.0, -6.0, 4.0), (70.0, 60.0, 50.0), 1.0)], geometry)
    paths = torch.from_numpy(paths)
    return paths, paths > 5.0


def test_water_cups_until_it_is_corrected(scan, tube):
    """Apparent attenuation per mm of path falls towards the middle; after the correction it is the same all over."""
    path_mm, hit = water_ellipsoid(scan)
    beam = PolychromaticBeam(tube)
    measured = beam({"water": path_mm / 10.0})
    per_mm = (measured / path_mm)[hit]
    thickest = path_mm[hit] > 130
    thin = path_mm[hit] < 30
    assert float(per_mm[thickest].mean()) < 0.94 * float(per_mm[thin].mean())
    corrected = beam.water_correction(measured)
    expected = path_mm / 10.0 * mass_attenuation("water", [REFERENCE_KEV])[0]
    torch.testing.assert_close(corrected[hit], expected[hit], rtol=1e-3, atol=0)
    single = beam.water_correction(measured.float())
    torch.testing.assert_close(single[hit], expected[hit].float(), rtol=1e-3, atol=0)


def test_bone_still_hardens_after_the_correction(tube):
    beam = PolychromaticBeam(tube)
    bone = torch.tensor([2.0, 8.0])
    corrected = beam.water_correction(beam({"bone": bone}))
    per_gram = corrected / bone
    assert float(per_gram[1]) < 0.95 * float(per_gram[0])


def test_correction_is_monotone_and_goes_on_beyond_its_table(tube):
    correction = PolychromaticBeam(tube).water_correction
    end = float(correction.measured[-1])
    p = torch.linspace(-0.5, end + 3.0, 5001, dtype=torch.float64)
    corrected = correction(p)
    steps = corrected.diff()
    assert float(steps.min()) > 0
    assert float(corrected[0]) < 0
    assert float(steps[-1]) == pytest.approx(float(steps[-2]), rel=1e-6)
    assert float(correction(torch.zeros(1))) == pytest.approx(0.0, abs=1e-6)


def test_effective_attenuation_of_water(tube):
    beam = PolychromaticBeam(XraySpectrum([REFERENCE_KEV], [1.0]))
    assert beam.effective_mu_water_per_mm() == pytest.approx(MU_WATER_PER_MM, rel=1e-9)
    mixed = PolychromaticBeam(tube, bone_hu=(-200, 500))  # takes 0 HU for a mixture
    at_zero = {name: density * 20.0 for name, density in mixed.densities(torch.zeros(1, dtype=torch.float64)).items()}
    assert float(mixed(at_zero)) == pytest.approx(200.0 * mixed.effective_mu_water_per_mm(), rel=1e-9)
    shallow, deep = (PolychromaticBeam(tube).effective_mu_water_per_mm(depth) for depth in (10.0, 300.0))
    assert 0.018 < deep < shallow < 0.024


@pytest.mark.parametrize(
    "arguments",
    [{"spectrum": {"kvp": 120}}, {"detector": "film"}, {"bone_hu": (1500, 100)}, {"bone_hu": (100,)}],
)
def test_impossible_beams_are_refused(arguments):
    with pytest.raises(InputError, match=r"beam|detector"):
        PolychromaticBeam(**{"spectrum": THREE_LINES, **arguments})


@pytest.mark.parametrize("paths", [{}, {"water": torch.zeros(3), "bone": torch.zeros(4)}])
def test_mismatched_paths_are_refused(paths):
    with pytest.raises(InputError, match="areal_densities"):
        PolychromaticBeam(THREE_LINES)(paths)

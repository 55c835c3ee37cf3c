from __future__ import annotations

import pytest
import torch
from monai.bundle import ConfigParser

from bundle.errors import InputError
from bundle.physics.acquisition import Acquisition
from bundle.physics.attenuation import MU_WATER_PER_MM, normalised_to_attenuation, unit_integral_to_normalised
from bundle.physics.beam_hardening import PolychromaticBeam
from bundle.physics.metal import MetalInsert, RandomMetal
from bundle.physics.noise import DetectorNoise
from bundle.physics.scatter import SmoothScatter
from bundle.physics.spectrum import REFERENCE_KEV, XraySpectrum
from bundle.projector import ConeBeamProjector

WINDOW = (-1000.0, 1000.0)


@pytest.fixture
def projector(scan) -> ConeBeamProjector:
    return ConeBeamProjector(scan.geometry([0.2, 1.3, 2.1]))


@pytest.fixture
def volume(phantom) -> torch.Tensor:
    """[2, 1, X, Y, Z] two different bodies in [0, 1]."""
    return torch.stack([torch.from_numpy(phantom), 0.7 * torch.from_numpy(phantom)])[:, None]


def line_integrals(volume: torch.Tensor, projector: ConeBeamProjector) -> torch.Tensor:
    return normalised_to_attenuation(unit_integral_to_normalised(projector(volume)), WINDOW)


def needs_xraydb() -> None:
    pytest.importorskip("xraydb", reason="the package with attenuation coefficients is not installed")


def test_nothing_is_on_by_default(volume, projector):
    p = line_integrals(volume, projector)
    assert Acquisition().measure(p, projector.geometry.pixel_mm) is p
    assert torch.equal(Acquisition()(volume, projector, WINDOW), p)
    assert Acquisition().mu_water_per_mm == MU_WATER_PER_MM


def test_noise_alone_is_the_noise_of_before(volume, projector):
    noise = DetectorNoise()
    expected = noise(line_integrals(volume, projector), torch.Generator().manual_seed(4))
    measured = Acquisition(noise=noise)(volume, projector, WINDOW, torch.Generator().manual_seed(4))
    assert torch.equal(measured, expected)


def test_beam_of_the_reference_energy_changes_nothing(volume, projector):
    """Density and attenuation cancel: one energy gives the line integrals of the HU."""
    needs_xraydb()
    beam = PolychromaticBeam(XraySpectrum([REFERENCE_KEV], [1.0]))
    p = line_integrals(volume, projector)
    for acquisition in (Acquisition(beam=beam), Acquisition(beam=beam, water_correction=True)):
        torch.testing.assert_close(acquisition(volume, projector, WINDOW), p, rtol=1e-5, atol=1e-5)
        assert acquisition.mu_water_per_mm == pytest.approx(MU_WATER_PER_MM, rel=1e-6)


def test_beam_hardens_and_correction_restores_water(volume, projector):
    needs_xraydb()
    beam = PolychromaticBeam(XraySpectrum([25.0, 90.0], [3.0, 1.0]))
    water = 0.5 * (volume > 0.1)
    p = line_integrals(water, projector)
    hard = Acquisition(beam=beam)(water, projector, WINDOW)
    assert float((hard - p).abs().max()) > 0.1
    corrected = Acquisition(beam=beam, water_correction=True)(water, projector, WINDOW)
    torch.testing.assert_close(corrected, p, rtol=1e-3, atol=1e-4)


def test_uncorrected_beams_say_which_water_they_saw(volume, projector):
    """The stated attenuation brings 200 mm of water back to 200 mm."""
    needs_xraydb()
    beam = PolychromaticBeam(XraySpectrum([40.0, 80.0], [1.0, 1.0]))
    p = float(beam({name: 20.0 * d for name, d in beam.densities(torch.zeros(1, dtype=torch.float64)).items()}))
    assert p / Acquisition(beam=beam).mu_water_per_mm == pytest.approx(200.0, rel=1e-6)


def test_steps_come_in_physical_order(volume, projector):
    """Scatter before noise, so that it is counted too; the correction last."""
    needs_xraydb()
    beam = PolychromaticBeam(XraySpectrum([40.0, 80.0], [1.0, 1.0]))
    scatter, noise = SmoothScatter(0.6, 50.0), DetectorNoise(1e4, 5.0)
    acquisition = Acquisition(beam=beam, scatter=scatter, noise=noise, water_correction=True)
    measured = acquisition(volume, projector, WINDOW, torch.Generator().manual_seed(9))
    p = acquisition.attenuate(volume, projector, WINDOW)
    p = scatter(p, projector.geometry.pixel_mm)
    p = noise(p, torch.Generator().manual_seed(9))
    assert torch.equal(measured, beam.water_correction(p))


def test_metal_of_one_energy_is_projected_unclipped(volume, projector):
    """Along the ray through a titanium sphere p grows by its attenuation above that of what it replaces."""
    needs_xraydb()
    water = torch.full_like(volume, 0.5)
    sphere = MetalInsert("titanium", (12.0, -9.0, 5.0), 22.0)
    p = Acquisition(metal=[sphere])(water, projector, WINDOW)
    extra = p - Acquisition()(water, projector, WINDOW)
    per_mm = 0.7661 * 4.54 / 10 - MU_WATER_PER_MM  # NIST at 60 keV
    assert float(extra.max()) == pytest.approx(per_mm * 44.0, rel=0.06)
    assert float(extra[0].sum()) == pytest.approx(float(extra[1].sum()), rel=1e-5)


def test_metal_in_a_beam_of_the_reference_energy_is_the_same(volume, projector):
    needs_xraydb()
    beam = PolychromaticBeam(XraySpectrum([REFERENCE_KEV], [1.0]))
    metal = [MetalInsert("titanium", (12.0, -9.0, 5.0), 12.0), MetalInsert("gold", (-20.0, 4.0, -15.0), 6.0)]
    one, many = (Acquisition(metal=metal, beam=b)(volume, projector, WINDOW) for b in (None, beam))
    torch.testing.assert_close(many, one, rtol=1e-4, atol=1e-4)


def test_random_metal_follows_the_generator(volume, projector):
    needs_xraydb()
    acquisition = Acquisition(metal=RandomMetal(count=2, radius_mm=(9, 15), inside_hu=-500.0))
    first, again, other = (
        acquisition(volume, projector, WINDOW, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_random_metal_finds_its_place_in_each_body(projector):
    """One bone voxel in each item, another one in each: there must the sphere be."""
    needs_xraydb()
    voxels = [(15, 4, 9), (3, 12, 5)]
    volume = torch.full((2, 1, *projector.geometry.volume_shape), 0.5)
    for item, voxel in enumerate(voxels):
        volume[item, 0][voxel] = 0.9
    metal = RandomMetal(count=1, materials=["titanium"], radius_mm=(14, 14), length_mm=(0, 0))
    random = Acquisition(metal=metal)(volume, projector, WINDOW)
    for item, voxel in enumerate(voxels):
        centre_mm = (projector.geometry.volume_affine @ [*voxel, 1.0])[:3]
        fixed = Acquisition(metal=[MetalInsert("titanium", centre_mm, 14.0)])
        torch.testing.assert_close(random[item : item + 1], fixed(volume[item : item + 1], projector, WINDOW))


def test_configuration(volume, projector):
    """A bundle's JSON, as a user writes it."""
    needs_xraydb()
    pytest.importorskip("spekpy", reason="the package with tube spectra is not installed")
    spectrum = {"_target_": "bundle.physics.spectrum.tube_spectrum", "kvp": 90, "aluminium_mm": 3.0, "bin_kev": 3.0}
    config = {
        "_target_": "bundle.physics.acquisition.Acquisition",
        "metal": [
            {
                "_target_": "bundle.physics.metal.MetalInsert",
                "material": "amalgam",
                "centre_mm": [10, -20, 5],
                "radius_mm": 9,
            }
        ],
        "beam": {
            "_target_": "bundle.physics.beam_hardening.PolychromaticBeam",
            "spectrum": spectrum,
            "bone_hu": [200, 1400],
        },
        "scatter": {"_target_": "bundle.physics.scatter.SmoothScatter", "scatter_to_primary": 0.4, "width_mm": 60},
        "noise": {"_target_": "bundle.physics.noise.DetectorNoise", "photons": 2e4},
        "water_correction": True,
    }
    parser = ConfigParser({"acquisition": config})
    acquisition = parser.get_parsed_content("acquisition")
    assert isinstance(acquisition, Acquisition)
    measured = acquisition(volume, projector, WINDOW, torch.Generator().manual_seed(0))
    assert measured.shape == (2, 3, *projector.geometry.detector_shape)
    assert torch.isfinite(measured).all()
    for key in ("metal", "beam", "scatter", "noise"):
        part = ConfigParser({"acquisition": {"_target_": config["_target_"], key: config[key]}})
        assert not torch.equal(
            part.get_parsed_content("acquisition")(volume, projector, WINDOW, torch.Generator().manual_seed(0)),
            Acquisition()(volume, projector, WINDOW),
        )


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"noise": {"photons": 1e5}}, "acquisition.noise"),
        ({"beam": 120}, "acquisition.beam"),
        ({"metal": "titanium"}, "acquisition.metal"),
        ({"metal": [{"material": "gold"}]}, "acquisition.metal"),
        ({"water_correction": True}, "acquisition.water_correction"),
    ],
)
def test_impossible_settings_are_refused(arguments, key):
    with pytest.raises(InputError, match=key):
        Acquisition(**arguments)

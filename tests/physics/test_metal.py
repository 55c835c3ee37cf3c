from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bundle.errors import InputError
from bundle.physics.attenuation import MU_WATER_PER_MM
from bundle.physics.metal import MetalInsert, RandomMetal, insert_metal, metal_fractions
from bundle.physics.noise import DetectorNoise
from bundle.projector import ConeBeamProjector

PLACE_MM = (41.0, -33.0, 22.0)


def fine(scan):
    """The small scan's field of view with enough voxels for millimetre-sized objects, all sizes different."""
    return scan.geometry([0.0, 0.9]).with_volume((80, 81, 64))


def moments(fraction: torch.Tensor, geometry) -> tuple[float, np.ndarray, np.ndarray]:
    """Volume in mm^3, centroid in mm and covariance in mm^2 of a [X, Y, Z] share of voxels."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in fraction.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    points = index @ geometry.volume_affine[:3, :3].T + geometry.volume_affine[:3, 3]
    weights = fraction.numpy().reshape(-1).astype(np.float64)
    centre = weights @ points / weights.sum()
    away = points - centre
    covariance = (weights[:, None] * away).T @ away / weights.sum()
    return weights.sum() * math.prod(geometry.voxel_mm), centre, covariance


def test_sphere_is_where_it_should_be(scan):
    """Centroid and volume in millimetres along x (left), y (back) and z (head), on anisotropic voxels."""
    geometry = fine(scan)
    fraction = metal_fractions([MetalInsert("gold", PLACE_MM, 9.0)], geometry, torch.zeros(1))["gold"]
    volume_mm3, centre_mm, covariance = moments(fraction, geometry)
    assert volume_mm3 == pytest.approx(4 / 3 * math.pi * 9**3, rel=0.01)
    np.testing.assert_allclose(centre_mm, PLACE_MM, atol=0.1)
    np.testing.assert_allclose(covariance, np.eye(3) * 9.0**2 / 5, atol=0.6)


def test_rod_points_where_it_should(scan):
    """A rod with round ends: volume pi r^2 L + sphere; its longest axis is its direction."""
    geometry = fine(scan)
    direction = np.array([2.0, -1.0, 0.5])
    rod = MetalInsert("titanium", PLACE_MM, 4.0, 40.0, direction)
    volume_mm3, centre_mm, covariance = moments(metal_fractions([rod], geometry, torch.zeros(1))["titanium"], geometry)
    assert volume_mm3 == pytest.approx(math.pi * 4**2 * 40 + 4 / 3 * math.pi * 4**3, rel=0.02)
    np.testing.assert_allclose(centre_mm, PLACE_MM, atol=0.1)
    axis = np.linalg.eigh(covariance)[1][:, -1]
    assert abs(axis @ direction) / np.linalg.norm(direction) > 0.999


def test_shadow_falls_where_the_geometry_says(scan):
    """The projected centroid of a small sphere is the projection of its centre, in every view."""
    geometry = fine(scan.resized(detector_shape=(168, 160)))
    fraction = metal_fractions([MetalInsert("gold", PLACE_MM, 9.0)], geometry, torch.zeros(1))["gold"]
    shadow = ConeBeamProjector(geometry)(fraction[None, None])[0].double().numpy()
    expected = geometry.project(np.array([PLACE_MM]))[:, 0]
    for axis, n in enumerate(geometry.detector_shape):
        positions = (np.arange(n) - (n - 1) / 2) * geometry.pixel_mm[axis]
        profile = shadow.sum(axis=2 - axis)
        np.testing.assert_allclose(profile @ positions / profile.sum(axis=1), expected[:, axis], atol=0.3)


def test_values_are_not_clipped(scan):
    pytest.importorskip("xraydb", reason="the package with attenuation coefficients is not installed")
    geometry = fine(scan)
    hu = torch.zeros(2, 1, *geometry.volume_shape)
    metal = insert_metal(hu, geometry, [MetalInsert("titanium", PLACE_MM, 12.0)])
    assert metal.shape == hu.shape
    assert float(hu.abs().max()) == 0  # the input stays as it is
    mu_per_mm = 0.7661 * 4.54 / 10  # NIST at 60 keV
    assert float(metal.max()) == pytest.approx(1000 * (mu_per_mm / MU_WATER_PER_MM - 1), rel=0.01)
    water = torch.full(geometry.volume_shape, MU_WATER_PER_MM)
    as_mu = insert_metal(water, geometry, [MetalInsert("titanium", PLACE_MM, 12.0)], quantity="mu_per_mm")
    torch.testing.assert_close(as_mu, MU_WATER_PER_MM * (1 + metal[0, 0] / 1000), rtol=1e-5, atol=1e-8)


def test_voxels_at_the_rim_are_mixed(scan):
    pytest.importorskip("xraydb", reason="the package with attenuation coefficients is not installed")
    geometry = fine(scan)
    inserts = [MetalInsert("gold", PLACE_MM, 7.0)]
    fraction = metal_fractions(inserts, geometry, torch.zeros(1))["gold"]
    rim = (fraction > 0) & (fraction < 1)
    assert rim.any()
    before = torch.full(geometry.volume_shape, -700.0)
    after = insert_metal(before, geometry, inserts)
    torch.testing.assert_close(
        after[rim], -700 * (1 - fraction[rim]) + after.max() * fraction[rim], rtol=1e-4, atol=0.1
    )
    assert torch.equal(after[fraction == 0], before[fraction == 0])


def test_later_inserts_displace_earlier_ones(scan):
    geometry = fine(scan)
    outer, inner = MetalInsert("titanium", PLACE_MM, 12.0), MetalInsert("gold", PLACE_MM, 6.0)
    fractions = metal_fractions([outer, inner], geometry, torch.zeros(1))
    assert float(sum(fractions.values()).max()) <= 1.0 + 1e-6
    gold_mm3 = moments(fractions["gold"], geometry)[0]
    titanium_mm3 = moments(fractions["titanium"], geometry)[0]
    assert gold_mm3 == pytest.approx(4 / 3 * math.pi * 6**3, rel=0.02)
    assert titanium_mm3 == pytest.approx(4 / 3 * math.pi * (12**3 - 6**3), rel=0.02)


def test_no_inserts_leave_the_volume(scan):
    volume = torch.rand(scan.geometry([0.0]).volume_shape)
    assert torch.equal(insert_metal(volume, scan.geometry([0.0]), []), volume)


def body(geometry) -> torch.Tensor:
    """[X, Y, Z] HU: air, with bone in one corner only."""
    hu = torch.full(geometry.volume_shape, -1000.0)
    hu[50:60, 20:40, 10:15] = 900.0
    return hu


def test_random_inserts_lie_in_the_body(scan):
    geometry = fine(scan)
    metal = RandomMetal(count=30, materials=["gold", "titanium"], radius_mm=(1, 3), length_mm=(0, 8))
    inserts = metal.place(body(geometry), geometry, torch.Generator().manual_seed(5))
    assert len(inserts) == 30
    assert {insert.material for insert in inserts} == {"gold", "titanium"}
    index = np.linalg.inv(geometry.volume_affine) @ np.array([[*insert.centre_mm, 1.0] for insert in inserts]).T
    np.testing.assert_allclose(index[:3], np.round(index[:3]), atol=1e-6)
    i, j, k = np.round(index[:3]).astype(int)
    assert (body(geometry)[i, j, k] == 900).all()
    assert all(1 <= insert.radius_mm <= 3 and 0 <= insert.length_mm <= 8 for insert in inserts)
    z_share = np.array([insert.axis_mm[2] for insert in inserts]) / np.array([i.length_mm / 2 for i in inserts])
    assert z_share.min() < -0.5
    assert z_share.max() > 0.5


def test_same_seed_same_inserts(scan):
    geometry = fine(scan)
    first, again, other = (
        RandomMetal(count=3).place(body(geometry), geometry, torch.Generator().manual_seed(seed)) for seed in (7, 7, 8)
    )
    assert first == again
    assert first != other


def test_photon_starvation(scan):
    """Gold stops all photons: p ends at the clamp of one count. Titanium lets few through: the spread of p grows."""
    pytest.importorskip("xraydb", reason="the package with attenuation coefficients is not installed")
    geometry = fine(scan).select([1])
    inserts = [MetalInsert("gold", (-40.0, 0.0, -25.0), 15.0), MetalInsert("titanium", PLACE_MM, 8.0)]
    mu = insert_metal(torch.zeros(1, 1, *geometry.volume_shape), geometry, inserts, quantity="mu_per_mm")
    p = ConeBeamProjector(geometry)(mu)[0, 0]
    noise = DetectorNoise(photons=1e5, electronic_sigma=0.0)
    generator = torch.Generator().manual_seed(2)
    measured = noise(p.expand(400, *p.shape), generator)
    opaque, starved, clear = p > 25, (p > 3) & (p < 6), p == 0
    assert opaque.sum() > 3
    assert starved.any()
    assert torch.allclose(measured[:, opaque], torch.tensor(math.log(1e5)))
    spread = measured.std(dim=0)
    assert float(spread[starved].min()) > 3 * float(spread[clear].max())
    counts = 1e5 * torch.exp(-p[starved])
    torch.testing.assert_close(spread[starved], counts**-0.5, rtol=0.15, atol=0)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"material": "unobtainium"}, "material"),
        ({"centre_mm": (0, 0)}, "centre_mm"),
        ({"centre_mm": (0, math.nan, 0)}, "centre_mm"),
        ({"centre_mm": "left"}, "centre_mm"),
        ({"direction": (0, 0, 0)}, "direction"),
        ({"radius_mm": 0}, "radius"),
        ({"length_mm": -1}, "length"),
    ],
)
def test_impossible_inserts_are_refused(arguments, what):
    with pytest.raises(InputError, match=what):
        MetalInsert(**{"material": "gold", "centre_mm": (0, 0, 0), "radius_mm": 2, **arguments})


@pytest.mark.parametrize(
    "arguments",
    [{"count": 0}, {"materials": []}, {"materials": ["wood"]}, {"radius_mm": (3, 1)}, {"length_mm": [-1, 2]}],
)
def test_impossible_random_metal_is_refused(arguments):
    with pytest.raises(InputError, match="metal"):
        RandomMetal(**arguments)


def test_metal_without_a_place_is_refused(scan):
    geometry = fine(scan)
    with pytest.raises(InputError, match="inside_hu"):
        RandomMetal().place(torch.zeros(geometry.volume_shape), geometry)
    with pytest.raises(InputError, match="outside"):
        metal_fractions([MetalInsert("gold", (0, 500, 0), 5.0)], geometry, torch.zeros(1))


def test_wrong_volume_or_quantity_is_refused(scan):
    geometry = fine(scan)
    with pytest.raises(InputError, match="shape"):
        insert_metal(torch.zeros(64, 81, 80), geometry, [])
    with pytest.raises(InputError, match="density"):
        insert_metal(torch.zeros(geometry.volume_shape), geometry, [], quantity="density")

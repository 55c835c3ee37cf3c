from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bundle.classical import FDK
from bundle.classical.rtk_methods import RTKFDK
from bundle.errors import InputError
from bundle.geometry import ConeBeamGeometry, circular
from bundle.phantoms import Ellipsoid, line_integrals, voxelise
from bundle.projector.voxel_driven import _index_matrices, _reference, weighted_back_projection
from tests.classical.scans import SCANS, SHORT, TURN, error, exact, orbit
from tests.projector.test_backends import tilted


@pytest.mark.parametrize("name", SCANS)
def test_reconstructs_the_phantom(name):
    geometry = SCANS[name]()
    volume, projections = exact(geometry)
    found = FDK()(projections, geometry)
    assert error(found, volume) < 0.025
    for axis in (2, 3, 4):
        assert error(found.flip(axis), volume) > 1.5 * error(found, volume)
    # Values, not only shapes: inside the body, away from its markers and its edge.
    assert float(found[0, 0, 14:18, 22:28, 20:24].mean()) == pytest.approx(0.4, abs=0.012)


@pytest.mark.parametrize("arc", [np.pi, np.pi + 0.6])
def test_rounding_of_angles_does_not_matter(arc):
    """Nothing is switched on or off when the arc is a hair longer or shorter."""
    projections = exact(orbit(np.arange(20) * arc / 20))[1]
    found = [FDK()(projections, orbit(np.arange(20) * (arc + tiny) / 20)) for tiny in (-1e-6, 0.0, 1e-6)]
    for other in found[1:]:
        assert error(other, found[0]) < 1e-4


def test_half_turn_is_usable():
    """180 degrees without the fan: some lines are missing, as in this package's presets."""
    geometry = orbit(np.linspace(0, np.pi, 90, endpoint=False))
    volume, projections = exact(geometry)
    assert error(FDK()(projections, geometry), volume) < 0.03


def test_order_and_repetition_of_views_do_not_matter():
    geometry = orbit(SHORT)
    _, projections = exact(geometry)
    expected = FDK()(projections, geometry)
    order = np.random.RandomState(0).permutation(len(SHORT))
    found = FDK()(projections[:, order], geometry.select(order))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
    twice = np.concatenate([np.arange(len(SHORT)), [3, 50, 50, 117]])
    found = FDK()(projections[:, twice], geometry.select(twice))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


def test_unevenly_spaced_views_are_weighted():
    """One half of the turn has four times as many views."""
    angles = np.concatenate([np.linspace(0, np.pi, 160, endpoint=False), np.linspace(np.pi, 2 * np.pi, 40, False)])
    geometry = orbit(angles)
    volume, projections = exact(geometry)
    assert error(FDK()(projections, geometry), volume) < 0.03


def test_off_centre_volume_and_tall_pixels():
    geometry = circular(
        TURN, 600, 900, (60, 120), (11.0, 5.0), (40, 44, 30), (6.0, 5.0, 9.0), volume_centre_mm=(25.0, -18.0, 12.0)
    )
    ball = [Ellipsoid((35.0, -10.0, 30.0), (50.0, 40.0, 60.0), 1.0)]
    projections = torch.from_numpy(line_integrals(ball, geometry)).float()[None]
    assert error(FDK()(projections, geometry)[0, 0], torch.from_numpy(voxelise(ball, geometry))) < 0.05


def test_hann_window_takes_noise_away():
    geometry = orbit(TURN)
    noise = torch.randn(1, 180, 76, 96)
    plain, smooth = FDK()(noise, geometry).std(), FDK(hann_cut=0.5)(noise, geometry).std()
    assert float(smooth) < 0.5 * float(plain)


def test_truncated_rows_are_continued():
    """A body wider than the detector: continuing its rows removes most of the bright rim."""
    geometry = circular(TURN, 800, 1200, (30, 60), (12.0, 5.0), (30, 30, 10), (5.0, 5.0, 10.0))
    body = [Ellipsoid((0.0, 0.0, 0.0), (160.0, 150.0, 200.0), 1.0)]
    projections = torch.from_numpy(line_integrals(body, geometry)).float()[None]
    centre = (slice(None), slice(None), slice(2, 28), slice(2, 28), slice(4, 6))
    truth = torch.ones(1, 1, 26, 26, 2)
    assert error(FDK(extend=0.5)(projections, geometry)[centre], truth) < 0.5 * error(
        FDK()(projections, geometry)[centre], truth
    )


@pytest.mark.parametrize("make", [lambda: orbit(SHORT[::20]), tilted, lambda: orbit(SHORT[::20]).flip_rows()])
def test_compiled_back_projection_agrees_with_the_reference(make):
    pytest.importorskip("numba", reason="needs numba")
    geometry = make()
    projections = torch.rand(2, geometry.num_views, *geometry.detector_shape)
    expected = _reference(projections, geometry, _index_matrices(geometry))
    torch.testing.assert_close(weighted_back_projection(projections, geometry), expected, rtol=1e-3, atol=1e-3)


def both_sides(angles_rad) -> ConeBeamGeometry:
    """The arc twice, with the detector shifted to either side."""
    one, other = orbit(angles_rad, 150.0, 62), orbit(angles_rad, -150.0, 62)
    views = ("source_mm", "detector_centre_mm", "u_axis", "v_axis", "angles_rad")
    return replace(one, **{name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in views})


def moved(geometry: ConeBeamGeometry, z_mm: np.ndarray) -> ConeBeamGeometry:
    """Source and detector moved along the axis in every view."""
    shift_mm = np.stack([np.zeros_like(z_mm), np.zeros_like(z_mm), z_mm], axis=1)
    return replace(
        geometry, source_mm=geometry.source_mm + shift_mm, detector_centre_mm=geometry.detector_centre_mm + shift_mm
    )


def test_jitter_of_the_orbit_is_none_of_that():
    rng = np.random.default_rng(0)
    level = orbit(TURN)
    shaken = moved(level, rng.uniform(-4, 4, len(TURN)))
    sideways_mm = rng.uniform(-8, 8, (len(TURN), 1)) * shaken.u_axis
    shaken = replace(shaken, detector_centre_mm=shaken.detector_centre_mm + sideways_mm)
    volume, projections = exact(shaken)
    assert error(FDK()(projections, shaken), volume) < 1.2 * error(FDK()(exact(level)[1], level), volume)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: orbit(SHORT, 150.0, 62), "half-fan detector on an arc"),
        (lambda: orbit([0.3, 0.3]), "all views at one angle"),
        (lambda: orbit(TURN, 420.0, 62), "misses"),
        (lambda: both_sides(TURN), "shifted to one side in some views and to the other in others"),
        (lambda: both_sides(SHORT), "shifted to one side in some views and to the other in others"),
        (lambda: moved(orbit(np.tile(TURN, 3)), np.linspace(-70, 70, 3 * len(TURN))), "moves by 140 mm along the axis"),
    ],
)
@pytest.mark.parametrize("method", [FDK(), RTKFDK()], ids=["own", "rtk"])
def test_scans_that_it_cannot_do_are_refused(method, make, message):
    geometry = make()
    with pytest.raises(InputError, match=message):
        method(torch.zeros(1, geometry.num_views, *geometry.detector_shape), geometry)


@pytest.mark.parametrize("options", [{"hann_cut": 0.0}, {"hann_cut": 1.5}, {"extend": -0.1}])
def test_wrong_options_are_refused(options):
    with pytest.raises(InputError):
        FDK(**options)


def test_is_differentiable():
    geometry = orbit(SHORT[::20]).with_volume((10, 9, 8))
    projections = torch.rand(1, geometry.num_views, *geometry.detector_shape, requires_grad=True)
    weights = torch.rand(1, 1, 10, 9, 8)
    (FDK()(projections, geometry) * weights).sum().backward()
    other = torch.rand_like(projections)
    expected = float((FDK()(other, geometry) * weights).sum())  # it is linear
    assert float((projections.grad * other).sum()) == pytest.approx(expected, rel=1e-3)

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from bundle.classical.orbit import Orbit
from bundle.classical.redundancy import redundancy_weights
from tests.classical.scans import SCANS, SHORT, TURN, orbit


@pytest.mark.parametrize("name", SCANS)
def test_both_measurements_of_a_line_count_as_one(name):
    """The line of gantry angle b and fan angle f is that of b + pi + 2 f and -f; checked by interpolation."""
    scan = Orbit.of(SCANS[name]())
    weights = redundancy_weights(scan)
    order = np.argsort(scan.angle_rad)
    fan = scan.fan_rad[0]
    table = RegularGridInterpolator(
        (scan.angle_rad[order], fan if fan[1] > fan[0] else fan[::-1]),
        weights[order] if fan[1] > fan[0] else weights[order, ::-1],
        bounds_error=False,
        fill_value=None,
    )
    angle, f = np.meshgrid(scan.angle_rad[order], np.linspace(-0.2, 0.2, 21), indexing="ij")
    other = np.mod(angle + np.pi + 2 * f, 2 * np.pi)
    covered = other <= scan.arc_rad
    if name.startswith("half fan"):
        inside = (np.abs(f) < np.minimum(-scan.fan_rad.min(), scan.fan_rad.max())) & (other < scan.angle_rad.max())
        covered &= inside
    both = table((angle, f))[covered] + table((other, -f))[covered]
    np.testing.assert_allclose(both, 1.0, atol=0.02)
    np.testing.assert_allclose(table((angle, f))[other > scan.arc_rad], 1.0, atol=0.02)


def test_arc_and_shares():
    full = Orbit.of(orbit(TURN))
    assert full.is_full_turn
    np.testing.assert_allclose(full.gap_rad, np.deg2rad(2.0), rtol=1e-4)
    short = Orbit.of(orbit(SHORT))
    assert short.arc_rad == pytest.approx((SHORT[-1] - SHORT[0]) * len(SHORT) / (len(SHORT) - 1))
    assert short.gap_rad.sum() == pytest.approx(short.arc_rad)
    sparse = Orbit.of(orbit(np.arange(6) * np.pi / 6))
    assert sparse.arc_rad == pytest.approx(np.pi)
    sparse_turn = Orbit.of(orbit(np.arange(6) * np.pi / 3))
    assert sparse_turn.is_full_turn
    assert Orbit.of(orbit([0.0, 0.5])).arc_rad == pytest.approx(1.0)


def test_repeated_views_share_their_part():
    scan = Orbit.of(orbit([0.1, 0.2, 0.2, 0.2, 0.3, 0.4]))
    np.testing.assert_allclose(scan.gap_rad, [0.1, 0.1 / 3, 0.1 / 3, 0.1 / 3, 0.1, 0.1], rtol=1e-4)


def test_fan_angle_grows_with_the_direction_of_the_ray():
    scan, geometry = Orbit.of(orbit([0.0, 1.0])), orbit([0.0, 1.0])
    pixels = geometry.pixel_centres_mm()[:, 38]
    direction = pixels - geometry.source_mm[:, None]
    angle = np.arctan2(direction[..., 1], direction[..., 0]) - (np.array([0.0, 1.0]) + np.pi)[:, None]
    np.testing.assert_allclose(np.angle(np.exp(1j * angle)), scan.fan_rad, atol=2e-3)

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bundle.errors import InputError
from bundle.projector import ConeBeamProjector
from bundle.sampling.misalignment import Misalignment

ANGLES = np.deg2rad([0.0, 40.0, 110.0, 250.0])
VECTORS = ("source_mm", "detector_centre_mm", "u_axis", "v_axis")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_it_is_the_circular_scan_at_other_angles_with_a_shifted_detector(scan):
    told = scan.geometry(ANGLES)
    measured = Misalignment(1.5, (7.0, -11.0)).disturb(told, generator())
    errors_deg = np.rad2deg(measured.angles_rad - ANGLES)
    assert len(set(errors_deg.round(6))) == 4
    assert 0.1 < np.abs(errors_deg).max() < 5
    expected = scan.geometry(measured.angles_rad, (7.0, -11.0))
    for name in VECTORS:
        np.testing.assert_allclose(getattr(measured, name), getattr(expected, name), atol=1e-9)
    assert (measured.volume_shape, measured.volume_centre_mm) == (told.volume_shape, told.volume_centre_mm)


def test_errors_of_the_angles_are_normal(scan):
    told = scan.geometry(np.linspace(0, 3, 4000))
    errors_deg = np.rad2deg(Misalignment(0.8).disturb(told, generator()).angles_rad - told.angles_rad)
    assert abs(errors_deg.mean()) < 0.05
    assert errors_deg.std() == pytest.approx(0.8, rel=0.05)
    assert np.mean(np.abs(errors_deg) < 0.8) == pytest.approx(0.683, abs=0.03)


def test_shift_is_exact_and_the_same_in_all_views(scan):
    told = replace(scan, row_direction="-z").geometry(ANGLES)
    measured = Misalignment(detector_shift_mm=[3.0, -5.0]).disturb(told, generator())
    moved = measured.detector_centre_mm - told.detector_centre_mm
    np.testing.assert_allclose(moved, 3.0 * told.v_axis - 5.0 * told.u_axis, atol=1e-12)
    np.testing.assert_allclose(moved[:, 2], -3.0)
    for name in ("source_mm", "u_axis", "v_axis", "angles_rad"):
        assert np.array_equal(getattr(measured, name), getattr(told, name))


@pytest.mark.parametrize("row_direction", ["+z", "-z"])
def test_shift_by_a_pixel_moves_the_image_by_one_to_smaller_indices(scan, phantom, row_direction):
    told = replace(scan, row_direction=row_direction).geometry(ANGLES)
    pitch_v, pitch_u = told.pixel_mm
    volume = torch.from_numpy(phantom)[None, None]
    plain = ConeBeamProjector(told)(volume)
    along_u = ConeBeamProjector(Misalignment(detector_shift_mm=(0, pitch_u)).disturb(told))(volume)
    along_v = ConeBeamProjector(Misalignment(detector_shift_mm=(pitch_v, 0)).disturb(told))(volume)
    tolerance = {"rtol": 1e-4, "atol": 1e-3 * float(plain.max())}
    torch.testing.assert_close(along_u[..., :-1], plain[..., 1:], **tolerance)
    torch.testing.assert_close(along_v[..., :-1, :], plain[..., 1:, :], **tolerance)
    for other in (plain[..., :-1], plain[..., 2:]):  # neither none nor two, and not the other way
        assert float((along_u[..., : other.shape[-1]] - other).abs().max()) > 0.05 * float(plain.max())


def test_any_orbit_stays_rigid(scan):
    """Views without a common circle, their detectors tilted, are turned as they are."""
    told = scan.geometry(ANGLES)
    tilt = np.deg2rad(9.0)
    u, v = told.u_axis, told.v_axis
    told = replace(
        told,
        u_axis=np.cos(tilt) * u + np.sin(tilt) * v,
        v_axis=np.cos(tilt) * v - np.sin(tilt) * u,
        source_mm=told.source_mm + [[0, 0, 30.0], [5, 0, 0], [0, 8, -20], [1, 2, 3]],
    )
    measured = Misalignment(3.0).disturb(told, generator())
    for first in VECTORS:
        for second in VECTORS:
            before = np.sum(getattr(told, first) * getattr(told, second), axis=1)
            after = np.sum(getattr(measured, first) * getattr(measured, second), axis=1)
            np.testing.assert_allclose(after, before, atol=1e-6)
        np.testing.assert_allclose(getattr(measured, first)[:, 2], getattr(told, first)[:, 2], atol=1e-9)
    turned = np.arctan2(measured.source_mm[:, 1], measured.source_mm[:, 0])
    before = np.arctan2(told.source_mm[:, 1], told.source_mm[:, 0])
    np.testing.assert_allclose(np.exp(1j * (turned - before)), np.exp(1j * (measured.angles_rad - told.angles_rad)))


def test_none_is_the_scan_itself(scan):
    told = scan.geometry(ANGLES)
    same = Misalignment().disturb(told, generator())
    assert all(np.array_equal(getattr(same, name), getattr(told, name)) for name in (*VECTORS, "angles_rad"))


def test_seeds(scan):
    told = scan.geometry(ANGLES)
    sums = [Misalignment(1.0).disturb(told, generator(seed)).checksum() for seed in (1, 1, 2)]
    assert sums[0] == sums[1] != sums[2]
    torch.manual_seed(1)
    assert Misalignment(1.0).disturb(told).checksum() == sums[0]


@pytest.mark.parametrize(
    "options",
    [
        {"angle_deg": -1.0},
        {"angle_deg": float("nan")},
        {"detector_shift_mm": (1.0,)},
        {"detector_shift_mm": (0.0, float("inf"))},
    ],
)
def test_impossible_ones_are_refused(options):
    with pytest.raises(InputError, match="misalignment"):
        Misalignment(**options)

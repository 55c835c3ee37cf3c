from __future__ import annotations

import numpy as np
import pytest
import torch

from bundle.data.sample_views import SampleViewsd
from bundle.engines import PreparePoints
from bundle.errors import InputError
from bundle.geometry_rows import pack_geometry, unpack_geometry
from bundle.phantoms import asymmetric_phantom, line_integrals
from bundle.sampling.jitter import ScanJitter

ANGLES = np.deg2rad([0.0, 40.0, 110.0])
JITTER = ScanJitter(angle_deg=2.0, sod_mm=30.0, sdd_mm=50.0, detector_shift_mm=(12.0, 25.0))


def parameters(geometry):
    """(angles, SOD, SDD, shift v, shift u) read off the vectors."""
    source, centre = geometry.source_mm, geometry.detector_centre_mm
    outward = source / np.linalg.norm(source, axis=1, keepdims=True)
    return (
        np.arctan2(source[:, 1], source[:, 0]),
        np.linalg.norm(source, axis=1),
        np.sum((source - centre) * outward, axis=1),
        np.sum(centre * geometry.v_axis, axis=1),
        np.sum(centre * geometry.u_axis, axis=1),
    )


def test_offsets_stay_within_their_limits_and_fill_them(scan):
    rng = np.random.RandomState(0)
    drawn = [parameters(JITTER.draw(scan, ANGLES, rng)) for _ in range(300)]
    angles, sods, sdds, vs, us = (np.stack(values) for values in zip(*drawn))
    for values, middle, most in (
        (np.rad2deg(angles - ANGLES), 0, 2.0),
        (sods, scan.sod_mm, 30.0),
        (sdds, scan.sdd_mm, 50.0),
        (vs, 0, 12.0),
        (us, 0, 25.0),
    ):
        assert np.abs(values - middle).max() <= most * (1 + 1e-9)
        assert np.abs(values - middle).max() > 0.95 * most
        assert abs((values - middle).mean()) < 0.15 * most
    for values in (sods, sdds, vs, us):  # one for the scan
        np.testing.assert_allclose(values, values[:, :1].repeat(3, axis=1))


def test_no_jitter_is_the_scan_itself(scan):
    drawn = ScanJitter().draw(scan, ANGLES, np.random.RandomState(0))
    np.testing.assert_allclose(drawn.source_mm, scan.geometry(ANGLES).source_mm)


def test_training_simulates_what_it_tells_the_network(scan, phantom):
    """Projections, matrices and geometry are of the same drawn scan; the phantom's exact integrals are the witness."""
    sample = SampleViewsd(scan, 3, 5, jitter=JITTER)
    sample.set_random_state(seed=4)
    item = sample({"image": torch.from_numpy(phantom)[None]})
    geometry = unpack_geometry(item["geometry"])
    torch.testing.assert_close(item["matrices"], torch.as_tensor(geometry.unit_matrices(), dtype=torch.float32))
    plain = scan.geometry(scan.candidate_angles_rad[item["views"].numpy()])
    assert np.abs(geometry.source_mm - plain.source_mm).max() > 1.0

    batch = {key: value[None] for key, value in item.items()}
    batch |= {"points": torch.rand(1, 4, 3), "values": torch.rand(1, 1, 4)}
    projections = PreparePoints(scan)(batch, "cpu")[0][0] * 200

    def distance(other) -> float:
        truth = line_integrals(asymmetric_phantom(other.volume_size_mm), other)
        return float(np.linalg.norm(projections.numpy() - truth) / np.linalg.norm(truth))

    assert distance(geometry) < 0.1  # the grid is coarse
    assert distance(plain) > 1.5 * distance(geometry)


def test_repeated_views_stay_equal(scan):
    sample = SampleViewsd(scan, [2, 4], None, jitter=JITTER)
    sample.set_random_state(seed=1)
    for _ in range(10):
        item = sample({})
        for a in range(4):
            for b in range(4):
                if item["views"][a] == item["views"][b]:
                    assert torch.equal(item["geometry"][a], item["geometry"][b])


def test_stored_projections_cannot_be_moved(scan):
    geometry = scan.geometry(scan.candidate_angles_rad)
    stored = {"angles_rad": torch.as_tensor(geometry.angles_rad.copy()), "geometry": pack_geometry(geometry)}
    with pytest.raises(InputError, match="has its projections already"):
        SampleViewsd(scan, 3, jitter=JITTER)(stored)


@pytest.mark.parametrize("options", [{"sod_mm": -1.0}, {"detector_shift_mm": (1.0,)}])
def test_wrong_offsets_are_refused(options):
    with pytest.raises(InputError, match="jitter"):
        ScanJitter(**options)

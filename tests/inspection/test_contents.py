from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bundle.errors import InputError
from bundle.inspection.contents import opposite_views, read_contents
from tests.prepared.sets import write_phantom


def test_stored_and_simulated_projections_show_the_same(tmp_path, scan):
    odd = replace(scan, detector_shape=(25, 32))  # a row in the very middle
    volume = write_phantom(tmp_path / "stored", odd)
    write_phantom(tmp_path / "without", odd, with_projections=False)
    stored, simulated = read_contents(tmp_path / "stored"), read_contents(tmp_path / "without")
    np.testing.assert_allclose(stored.volume, volume, atol=1e-5)
    assert stored.shown_views == simulated.shown_views == (0, 20)
    step = stored.projection_range[1] / 65535
    np.testing.assert_allclose(stored.projections, simulated.projections, atol=step)
    np.testing.assert_allclose(stored.sinogram, simulated.sinogram, atol=step)
    np.testing.assert_array_equal(stored.sinogram[20], stored.projections[1, 12])
    assert stored.sinogram.shape == (40, 32)
    assert simulated.projection_range is None


def test_range_is_over_all_projections(tmp_path, scan):
    write_phantom(tmp_path / "case", scan, precision="float32")
    stored = np.load(tmp_path / "case" / "projections.npy")
    stored[7, 5, 6], stored[3, 23, 0] = 9.0, -0.5
    np.save(tmp_path / "case" / "projections.npy", stored)
    assert read_contents(tmp_path / "case").projection_range == (-0.5, 9.0)


def test_source_is_named(tmp_path, scan):
    write_phantom(tmp_path / "named", scan, provenance={"source": {"file": "a.mhd"}})
    write_phantom(tmp_path / "unnamed", scan)
    assert read_contents(tmp_path / "named").source == "a.mhd"
    assert read_contents(tmp_path / "unnamed").source == "unknown"


def test_values_that_are_not_finite_are_refused(tmp_path, scan):
    write_phantom(tmp_path / "case", scan, precision="float32")
    volume = np.load(tmp_path / "case" / "volume.npy")
    volume[1, 2, 3, 1] = np.nan
    np.save(tmp_path / "case" / "volume.npy", volume)
    with pytest.raises(InputError, match=r"volume.npy: has 1 NaN"):
        read_contents(tmp_path / "case")


@pytest.mark.parametrize(
    ("views", "arc_deg", "expected"), [(40, 180, 20), (40, 360, 10), (3, 180, 1), (4, 180, 2), (1, 180, 0)]
)
def test_second_view_is_seen_from_the_side(scan, views, arc_deg, expected):
    angles = 0.3 + np.arange(views) * np.deg2rad(arc_deg) / views
    assert opposite_views(scan.geometry(angles)) == (0, expected)

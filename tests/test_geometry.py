from __future__ import annotations

import numpy as np
import pytest

from bundle.errors import InputError
from bundle.geometry import ConeBeamGeometry, circular

SCAN = {
    "sod_mm": 500.0,
    "sdd_mm": 800.0,
    "detector_shape": (24, 32),
    "pixel_mm": (14.0, 12.0),
    "volume_shape": (20, 18, 16),
    "voxel_mm": (8.0, 9.0, 10.0),
}


def test_source_turns_from_left_to_back():
    """At 0 degrees the source is at the patient's left (+x), at 90 degrees at the back (+y)."""
    geometry = circular(np.deg2rad([0, 90]), **SCAN)
    np.testing.assert_allclose(geometry.source_mm, [[500, 0, 0], [0, 500, 0]], atol=1e-9)
    np.testing.assert_allclose(geometry.detector_centre_mm, [[-300, 0, 0], [0, -300, 0]], atol=1e-9)
    np.testing.assert_allclose(geometry.u_axis, [[0, 1, 0], [-1, 0, 0]], atol=1e-9)


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        # Magnification of the isocentre's plane is 800 / 500.
        ((0, 0, 0), (0, 0)),
        ((0, 10, 0), (0, 16)),
        ((0, 0, 10), (16, 0)),
        ((100, 10, 0), (0, 10 * 800 / 400)),  # nearer to the source
        ((-100, 0, 10), (10 * 800 / 600, 0)),
    ],
)
def test_projection_of_points_at_angle_zero(point, expected):
    geometry = circular([0.0], **SCAN)
    np.testing.assert_allclose(geometry.project(np.array([point], dtype=float))[0, 0], expected, atol=1e-9)


def test_projection_follows_the_circular_formula():
    """k = sdd / (sod - x'), (v, u) = (z k, y' k), in the rotated frame (geometry.md)."""
    angles = np.deg2rad([0, 33, 90, 145, 200])
    points = np.random.RandomState(0).uniform(-70, 70, (20, 3))
    for sod, sdd in ((500.0, 800.0), (350.0, 300.0)):  # the second is a virtual detector, in front of the object
        projected = circular(angles, **{**SCAN, "sod_mm": sod, "sdd_mm": sdd}).project(points)
        for view, a in enumerate(angles):
            x = np.cos(a) * points[:, 0] + np.sin(a) * points[:, 1]
            y = -np.sin(a) * points[:, 0] + np.cos(a) * points[:, 1]
            k = sdd / (sod - x)
            np.testing.assert_allclose(projected[view], np.stack([points[:, 2] * k, y * k], axis=1), atol=1e-9)


def test_pixel_centres_project_to_themselves():
    geometry = circular(np.deg2rad([10, 77]), **SCAN, detector_offset_mm=(5.0, -30.0))
    centres = geometry.pixel_centres_mm()
    rows, columns = geometry.detector_shape
    for view in range(2):
        found = geometry.project(centres[view].reshape(-1, 3))[view].reshape(rows, columns, 2)
        np.testing.assert_allclose(found[:, 0, 0], (np.arange(rows) - 11.5) * 14.0, atol=1e-6)
        np.testing.assert_allclose(found[0, :, 1], (np.arange(columns) - 15.5) * 12.0, atol=1e-6)


def test_unit_matrices_reach_the_edges():
    geometry = circular([0.0], **SCAN)
    matrix = geometry.unit_matrices()[0]
    v, u, w = matrix @ np.array([0.5, 0.5, 0.5, 1.0])
    assert (v, u) == pytest.approx((0.0, 0.0))
    assert w > 0
    # A point of the isocentre's plane that projects to the upper detector edge, 12 rows of 14 mm from its centre.
    z = (12 * 14.0) * 500 / 800
    v, u, w = matrix @ np.array([0.5, 0.5, 0.5 + z / 160.0, 1.0])
    assert v / w == pytest.approx(1.0)


def test_volume_affine_centres_the_volume():
    geometry = circular([0.0], **SCAN, volume_centre_mm=(1.0, 2.0, 3.0))
    centre = geometry.volume_affine @ np.array([9.5, 8.5, 7.5, 1.0])
    np.testing.assert_allclose(centre[:3], [1, 2, 3])


def test_rows_can_run_downwards():
    up, down = (circular([0.3], **SCAN, row_direction=d) for d in ("+z", "-z"))
    point = np.array([[10.0, 20.0, 30.0]])
    np.testing.assert_allclose(up.project(point) * [-1, 1], down.project(point))
    assert up.row_direction() == "+z"
    assert up.flip_rows().row_direction() == "-z"


def test_dict_round_trip_and_checksum():
    geometry = circular(np.deg2rad([5, 50, 95]), **SCAN)
    copy = ConeBeamGeometry.from_dict(geometry.to_dict())
    assert copy.checksum() == geometry.checksum()
    assert geometry.select([0, 2]).checksum() != geometry.checksum()
    np.testing.assert_array_equal(geometry.select([2]).source_mm[0], geometry.source_mm[2])


def test_frozen():
    geometry = circular([0.0], **SCAN)
    with pytest.raises(ValueError, match="read-only"):
        geometry.source_mm[0, 0] = 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sod_mm": -1.0}, "sod_mm"),
        ({"sdd_mm": float("nan")}, "sdd_mm"),
        ({"pixel_mm": (1.0, 0.0)}, "pixel_mm"),
        ({"detector_shape": (24.5, 32)}, "detector_shape"),
        ({"volume_shape": (20, 18)}, "volume_shape"),
        ({"voxel_mm": "big"}, "voxel_mm"),
        ({"row_direction": "up"}, "row_direction"),
    ],
)
def test_bad_numbers_are_named(change, message):
    with pytest.raises(InputError, match=message):
        circular([0.0], **{**SCAN, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"u_axis": [[2.0, 0, 0]]}, "unit vectors"),
        ({"u_axis": [[0.0, 0, 1]]}, "perpendicular"),
        ({"source_mm": [[-300.0, 0, 5]]}, "detector's plane"),
        ({"source_mm": [[70.0, 0, 0]]}, "view 0 is not in front"),
        ({"source_mm": [[-200.0, 0, 0]]}, "view 0 is not in front"),
        ({"source_mm": [[500.0, 0, 0], [1.0, 0, 0]]}, "views"),
        ({"angles_rad": [0.0, 1.0]}, "angles_rad"),
    ],
)
def test_inconsistent_vectors_are_named(change, message):
    record = circular([0.0], **SCAN).to_dict()
    with pytest.raises(InputError, match=message):
        ConeBeamGeometry.from_dict({**record, **change})


def test_unknown_entries_are_named():
    with pytest.raises(InputError, match="speed"):
        ConeBeamGeometry.from_dict({**circular([0.0], **SCAN).to_dict(), "speed": 3})

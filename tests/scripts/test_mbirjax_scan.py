"""The conversion of scans to MBIRJAX's, against its formulas written out; tests/integration runs MBIRJAX itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bundle.errors import InputError
from bundle.geometry import ConeBeamGeometry, circular
from scripts.outside.mbirjax_scan import mbirjax_scan, mbirjax_sinogram


def scan(**changes) -> ConeBeamGeometry:
    numbers = {
        "angles_rad": np.deg2rad([10, 55, 100, 190, 300]),
        "sod_mm": 500,
        "sdd_mm": 800,
        "detector_shape": (48, 56),
        "pixel_mm": (5.2, 4.4),
        "volume_shape": (44, 36, 40),
        "voxel_mm": (3.2, 4.0, 3.0),
        "detector_offset_mm": (9.0, -14.0),
        "volume_centre_mm": (0, 0, 6.0),
    }
    return circular(**{**numbers, **changes})


def detector_indices(found: dict, voxels: np.ndarray) -> np.ndarray:
    """[views, voxels, 2] fractional (row, channel) of voxels, by recon_ijk_to_xyz and the functions that follow it."""
    model, own = found["model"], found["parameters"]
    sizes = own["delta_voxel"] * np.array([own["voxel_row_aspect"], 1.0, own["voxel_slice_aspect"]])
    row, column, slices = ((voxels - (np.array(own["recon_shape"]) - 1) / 2) * sizes).T
    z = slices + own["recon_slice_offset"]
    out = []
    for angle in model["angles"]:
        x = np.cos(angle) * column - np.sin(angle) * row
        y = np.sin(angle) * column + np.cos(angle) * row
        magnification = model["source_detector_dist"] / (model["source_iso_dist"] - y)
        m = (magnification * z + own["det_row_offset"]) / own["delta_det_row"] + (model["sinogram_shape"][1] - 1) / 2
        n = magnification * x + own["det_channel_offset"]
        out.append(np.stack([m, n / own["delta_det_channel"] + (model["sinogram_shape"][2] - 1) / 2], axis=1))
    return np.stack(out)


@pytest.mark.parametrize("changes", [{}, {"row_direction": "-z"}, {"sdd_mm": 300}, {"pixel_mm": (4.4, 5.2)}])
def test_voxels_meet_the_pixels_that_they_meet_here(changes):
    geometry = scan(**changes)
    voxels = np.random.RandomState(0).uniform(0, 35, (20, 3))
    points = voxels @ geometry.volume_affine[:3, :3].T + geometry.volume_affine[:3, 3]
    expected = geometry.project(points) / geometry.pixel_mm + (np.array(geometry.detector_shape) - 1) / 2
    if changes.get("row_direction") == "-z":
        expected[..., 0] = geometry.detector_shape[0] - 1 - expected[..., 0]  # of the turned sinogram
    np.testing.assert_allclose(detector_indices(mbirjax_scan(geometry), voxels), expected, atol=1e-6)


def test_sinograms_have_their_rows_upwards():
    rows = np.arange(5 * 48 * 56).reshape(5, 48, 56)
    assert mbirjax_sinogram(rows, scan()) is rows
    np.testing.assert_array_equal(mbirjax_sinogram(rows, scan(row_direction="-z")), rows[:, ::-1])


def tilted() -> ConeBeamGeometry:
    geometry = scan()
    u_axis = geometry.u_axis * np.cos(0.01) + geometry.v_axis * np.sin(0.01)
    v_axis = geometry.v_axis * np.cos(0.01) - geometry.u_axis * np.sin(0.01)
    return replace(geometry, u_axis=u_axis, v_axis=v_axis)


def shifted(name: str, views: list[int], by: tuple[float, float, float]) -> ConeBeamGeometry:
    geometry = scan()
    moved = getattr(geometry, name).copy()
    moved[views] += by
    return replace(geometry, **{name: moved})


@pytest.mark.parametrize(
    "geometry",
    [
        tilted(),
        shifted("source_mm", [0, 1, 2, 3, 4], (0, 0, 1.0)),
        shifted("source_mm", [2], (0, 3.0, 0)),
        shifted("detector_centre_mm", [1], (0, 0, 1.0)),
        shifted("detector_centre_mm", [4], (2.0, 0, 0)),
        scan(volume_centre_mm=(1.0, 0, 0)),
        replace(scan(), u_axis=-scan().u_axis),
    ],
)
def test_other_orbits_are_refused(geometry):
    with pytest.raises(InputError, match="is not a circular orbit about the z axis"):
        mbirjax_scan(geometry)

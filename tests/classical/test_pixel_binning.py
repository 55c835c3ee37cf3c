"""Averaging pixels to the shadow of a voxel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bundle.classical.pixel_binning import binned, pixel_area_mm2, pixels_per_shadow
from tests.classical.scans import orbit

ANGLES = np.arange(4)


def test_area_is_that_at_the_volumes_centre():
    geometry = orbit(ANGLES)
    np.testing.assert_allclose(pixel_area_mm2(geometry), 8.5 * 8.0 / 1.5**2)
    nearer = replace(geometry, volume_centre_mm=(100.0, 0.0, 0.0), angles_rad=None)
    depth = 800 - 100 * np.cos(ANGLES)
    np.testing.assert_allclose(pixel_area_mm2(nearer), 8.5 * 8.0 / (1200 / depth) ** 2)


@pytest.mark.parametrize(
    ("pixels", "voxels", "expected"),
    [
        ((76, 96), (56, 50, 44), (1, 1)),  # shadows of 10.5 and 9 mm, pixels of 8.5 and 8 mm
        ((152, 192), (56, 50, 44), (2, 2)),
        ((152, 192), (56, 25, 44), (2, 2)),  # the smaller side across the axis
        ((152, 192), (28, 25, 44), (2, 4)),
        ((152, 192), (56, 50, 22), (4, 2)),
        ((151, 192), (28, 25, 22), (1, 4)),  # a prime number of rows
        ((150, 192), (28, 25, 14), (6, 4)),  # 7 would fit, 6 divides
    ],
)
def test_as_many_as_fit_and_divide(pixels, voxels, expected):
    assert pixels_per_shadow(orbit(ANGLES).with_pixels(pixels).with_volume(voxels)) == expected


def test_averages_with_their_geometry():
    geometry = orbit(ANGLES, shift_mm=30.0).with_pixels((152, 192))
    projections = torch.rand(2, 4, 152, 192)
    averages, coarser = binned(projections, geometry)
    torch.testing.assert_close(averages[1, 2, 3, 5], projections[1, 2, 6:8, 10:12].mean())
    assert coarser.detector_shape == (76, 96)
    np.testing.assert_allclose(
        coarser.pixel_centres_mm()[:, 3, 5], geometry.pixel_centres_mm()[:, 6:8, 10:12].mean(axis=(1, 2))
    )

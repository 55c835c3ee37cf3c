from __future__ import annotations

import numpy as np
import pytest

from bundle.geometry import circular
from bundle.rtk.images import empty_projections, empty_volume, projections_to_itk, volume_from_itk, volume_to_itk

itk = pytest.importorskip("itk", reason="needs itk-rtk")
if not hasattr(itk, "RTK"):
    pytest.skip("needs itk-rtk", allow_module_level=True)

GEOMETRY = circular(
    [0.0, 0.5, 2.0],
    600.0,
    900.0,
    detector_shape=(6, 9),
    pixel_mm=(1.5, 2.5),
    volume_shape=(4, 5, 7),
    voxel_mm=(2.0, 3.0, 5.0),
    volume_centre_mm=(10.0, -20.0, 30.0),
)


def test_voxels_lie_where_rtk_looks_for_them():
    """Voxel (i, j, k) of ours is RTK's index (j, k, i), at our y, z, x."""
    volume = np.random.default_rng(1).random(GEOMETRY.volume_shape).astype(np.float32)
    image = volume_to_itk(volume, GEOMETRY)
    for i, j, k in [(0, 0, 0), (3, 0, 0), (0, 4, 0), (0, 0, 6), (2, 3, 5)]:
        x, y, z = (GEOMETRY.volume_affine @ [i, j, k, 1])[:3]
        assert tuple(image.TransformIndexToPhysicalPoint([j, k, i])) == pytest.approx((y, z, x))
        assert image.GetPixel([j, k, i]) == volume[i, j, k]


def test_volume_there_and_back():
    volume = np.random.default_rng(2).random(GEOMETRY.volume_shape).astype(np.float32)
    back = volume_from_itk(volume_to_itk(volume, GEOMETRY))
    assert back.flags.c_contiguous
    np.testing.assert_array_equal(back, volume)


def test_pixels_lie_where_rtk_looks_for_them():
    """Pixel (v, u) of view m is RTK's index (u, v, m), in mm from the detector's centre."""
    stack = np.random.default_rng(3).random((3, 6, 9)).astype(np.float32)
    image = projections_to_itk(stack, GEOMETRY)
    for m, v, u in [(0, 0, 0), (1, 5, 0), (2, 0, 8), (2, 3, 4)]:
        point = image.TransformIndexToPhysicalPoint([u, v, m])
        assert (point[0], point[1]) == pytest.approx(((u - 4) * 2.5, (v - 2.5) * 1.5))
        assert image.GetPixel([u, v, m]) == stack[m, v, u]


@pytest.mark.parametrize(
    ("empty", "full"),
    [
        (empty_volume, volume_to_itk(np.ones(GEOMETRY.volume_shape), GEOMETRY)),
        (empty_projections, projections_to_itk(np.ones((3, 6, 9)), GEOMETRY)),
    ],
)
def test_empty_images_have_the_same_grid(empty, full):
    source = empty(GEOMETRY)
    source.Update()
    image = source.GetOutput()
    assert tuple(image.GetLargestPossibleRegion().GetSize()) == tuple(full.GetLargestPossibleRegion().GetSize())
    assert tuple(image.GetSpacing()) == pytest.approx(tuple(full.GetSpacing()))
    assert tuple(image.GetOrigin()) == pytest.approx(tuple(full.GetOrigin()))
    assert not itk.array_from_image(image).any()

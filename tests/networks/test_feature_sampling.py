from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bundle.networks.encoder import ProjectionEncoder
from bundle.networks.feature_sampling import (
    detector_coordinates,
    grid_points,
    max_over_views,
    sample_maps,
    sample_volume,
)


def test_grid_points_order_and_conventions():
    like = torch.zeros(1)
    centres = grid_points([2, 3, 4], 0, 24, False, like)
    torch.testing.assert_close(centres[0], torch.tensor([1 / 4, 1 / 6, 1 / 8]))
    torch.testing.assert_close(centres[1] - centres[0], torch.tensor([0, 0, 1 / 4]))
    torch.testing.assert_close(centres[-1], torch.tensor([3 / 4, 5 / 6, 7 / 8]))
    torch.testing.assert_close(grid_points([2, 3, 4], 23, 24, True, like)[0], torch.tensor([1 / 2, 2 / 3, 3 / 4]))
    torch.testing.assert_close(grid_points([2, 3, 4], 5, 9, False, like), centres[5:9])


def test_coordinates_agree_with_the_geometry(scan):
    geometry = scan.geometry(np.deg2rad([10.0, 100.0]))
    points = np.random.RandomState(0).rand(30, 3)
    world = (points - 0.5) * geometry.volume_size_mm
    half = np.array(geometry.detector_shape) * geometry.pixel_mm / 2
    matrices = torch.tensor(geometry.unit_matrices(), dtype=torch.float32)[None]
    found = detector_coordinates(matrices, torch.tensor(points, dtype=torch.float32)[None])
    np.testing.assert_allclose(found[0], geometry.project(world) / half, atol=1e-5)


@pytest.mark.parametrize("stride", [0, 1, 2, 3])
def test_pixel_centre_sampling_has_no_shift_at_any_stride(stride):
    """A ramp along u, averaged down like a strided map, is read back without displacement."""
    columns = 64
    ramp = (torch.arange(columns) + 0.5) / columns * 2 - 1  # the coordinate of each pixel's centre
    full = ramp.expand(1, 1, 1, 32, columns)
    features = torch.nn.functional.avg_pool2d(full[0], 2**stride)[None]
    u = torch.linspace(-0.7, 0.7, 11)
    coordinates = torch.stack([torch.zeros_like(u), u], dim=-1)[None, None]
    torch.testing.assert_close(sample_maps(features, coordinates, False)[0, 0, 0], u, atol=1e-5, rtol=0)
    displaced = sample_maps(features, coordinates, True)[0, 0, 0]
    assert float((displaced - u).abs().max()) > 0.005


def test_first_component_addresses_rows():
    features = torch.zeros(1, 1, 1, 8, 8)
    features[..., 7, 0] = 1.0
    corner = torch.tensor([[[[7 / 8, -7 / 8], [-7 / 8, 7 / 8]]]])
    assert sample_maps(features, corner, False).flatten().tolist() == [1.0, 0.0]


def test_zero_outside_the_detector():
    features = torch.ones(1, 1, 1, 8, 8)
    coordinates = torch.tensor([[[[0.0, 0.0], [1.5, 0.0], [0.0, -2.0]]]])
    assert sample_maps(features, coordinates, False).flatten().tolist() == [1.0, 0.0, 0.0]


def test_masked_views_do_not_count():
    samples = torch.tensor([[1.0, 5.0, 3.0], [-2.0, -1.0, -3.0]])[:, :, None, None]
    mask = torch.tensor([[True, False, True], [True, False, True]])
    assert max_over_views(samples, None).flatten().tolist() == [5.0, -1.0]
    assert max_over_views(samples, mask).flatten().tolist() == [3.0, -2.0]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_volume_axes_are_x_y_z(axis):
    shape = (6, 5, 4)
    centres = (torch.arange(shape[axis]) + 0.5) / shape[axis]
    volume = centres.reshape([-1 if a == axis else 1 for a in range(3)]).expand(shape)[None, None]
    points = torch.full((1, 7, 3), 0.4)
    points[0, :, axis] = torch.linspace(0.2, 0.8, 7)
    torch.testing.assert_close(sample_volume(volume, points, False)[0, 0], points[0, :, axis])


def test_encoder_features_are_centred_on_their_pixels():
    """A symmetric projection gives symmetric features after the 2 x 2 strides, so no scale is displaced."""
    encoder = ProjectionEncoder((4, 8, 16)).eval()
    for module in encoder.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.weight.data = module.weight.data + module.weight.data.flip(-1)
    x = torch.rand(1, 1, 16, 32)
    for feature in encoder(x + x.flip(-1)):
        torch.testing.assert_close(feature, feature.flip(-1), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("corner_aligned", [False, True])
def test_volume_sampling_is_grid_sample(corner_aligned):
    """Inside, on the edges and beyond; values and gradient."""
    volume = torch.randn(2, 3, 4, 5, 6, dtype=torch.float64, requires_grad=True)
    points = torch.rand(2, 50, 3, dtype=torch.float64) * 1.4 - 0.2
    points[:, 0], points[:, 1] = 0.0, 1.0
    grid = (2.0 * points - 1.0).flip(-1)[:, None, None]
    padding = "zeros" if corner_aligned else "border"
    expected = F.grid_sample(volume, grid, padding_mode=padding, align_corners=corner_aligned).flatten(2)
    found = sample_volume(volume, points, corner_aligned)
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(expected)
    torch.testing.assert_close(
        torch.autograd.grad(found, volume, weights)[0], torch.autograd.grad(expected, volume, weights)[0]
    )


def test_points_that_are_trained_get_a_gradient():
    volume, points = torch.randn(1, 2, 3, 4, 5), torch.rand(1, 6, 3, requires_grad=True)
    assert torch.autograd.grad(sample_volume(volume, points, False).sum(), points)[0].any()

from __future__ import annotations

import pytest
import torch

from bundle.data.anatomy.real.intensity import change_classes, change_scan, change_structures, sharpness, smoothed
from bundle.data.anatomy.variation import Draw

SHAPE = (24, 22, 20)
AXES = [torch.arange(n) * 4.0 for n in SHAPE]


@pytest.fixture
def steps():
    """Slabs of air, lung, fat, muscle and bone along x."""
    hu = torch.empty(SHAPE)
    for number, value in enumerate((-1000.0, -850.0, -105.0, 45.0, 300.0, 1000.0)):
        hu[4 * number : 4 * number + 4] = value
    return hu


@pytest.mark.parametrize("change", [change_scan, change_classes])
def test_air_and_the_order_of_the_tissues_stay(steps, change):
    for seed in range(20):
        changed = change(steps, AXES, Draw(seed, "test"))
        assert (changed[:4] == -1000).all()
        means = [changed[4 * n : 4 * n + 4].mean().item() for n in range(6)]
        assert means == sorted(means)
    assert (changed - steps).abs().max() > 1
    torch.testing.assert_close(change(steps, AXES, Draw(1, "test"), 0.0), steps)


def test_labels_change_only_their_structure(steps):
    labels = torch.zeros(SHAPE, dtype=torch.long)
    labels[14:16, 6:16, 6:14] = 118
    changed = change_structures(steps, labels, Draw(4, "test"))
    near = torch.zeros(SHAPE, dtype=torch.bool)
    near[13:17, 5:17, 5:15] = True  # edges are a voxel wide
    assert torch.equal(changed[~near], steps[~near])
    inside = (changed - steps)[14:16, 8:14, 8:12]
    assert inside.abs().min() > 0.5


def test_a_labels_change_is_its_own(steps):
    """Other labels in the map, and their number, do not move it."""
    few = torch.zeros(SHAPE, dtype=torch.long)
    few[12:16, :8] = 3
    many = few.clone()
    many[12:16, 14:] = torch.arange(20) + 50
    first, second = (change_structures(steps, labels, Draw(9, "test")) for labels in (few, many))
    torch.testing.assert_close(first[:, :10], second[:, :10])
    assert (second[13, 16:] - steps[13, 16:]).std() > 1  # single slices with labels of their own


def test_structures_without_labels_or_strength_stay(steps):
    labels = torch.ones(SHAPE, dtype=torch.long)
    assert change_structures(steps, 0 * labels, Draw(0, "test")) is steps
    torch.testing.assert_close(change_structures(steps, labels, Draw(0, "test"), 0.0), steps)


def test_smoothing_keeps_flat_regions_and_sums(steps):
    assert torch.equal(smoothed(torch.full(SHAPE, 5.0)), torch.full(SHAPE, 5.0))
    point = torch.zeros(SHAPE)
    point[10, 10, 10] = 64.0
    blurred = smoothed(point)
    assert blurred[10, 10, 10] == 8.0
    assert blurred[11, 10, 10] == blurred[10, 9, 10] == 4.0
    assert blurred.sum() == 64.0
    assert sharpness(steps, Draw(0, "test"), 0.0) is steps

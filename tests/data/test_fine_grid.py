"""The finer grid, and averaging to the reconstruction's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bundle.data.fine_grid import FINEST_SIDE, averaged, fine_shape


def test_at_least_twice_and_the_cts_own_where_that_is_finer():
    assert fine_shape((64, 32, 16), (200.0, 100.0, 80.0)) == (128, 64, 32)
    assert fine_shape((64, 32, 16), (200.0, 100.0, 80.0), (1.0, 4.0, 0.8)) == (200, 64, 100)


def test_does_not_depend_on_the_output_where_the_ct_is_finer():
    shapes = {fine_shape((n, n, n), (400.0,) * 3, (1.6, 1.5, 1.4)) for n in (32, 64, 96, 125)}
    assert len(shapes) == 1


def test_is_bounded_unless_the_output_asks_for_more():
    assert fine_shape((64, 64, 64), (400.0,) * 3, (0.1,) * 3) == (FINEST_SIDE,) * 3
    assert fine_shape((300, 64, 64), (400.0,) * 3, (0.1,) * 3) == (600, FINEST_SIDE, FINEST_SIDE)


@pytest.mark.parametrize("fine", [(12, 10, 8), (13, 11, 9), (6, 5, 4)])
def test_averages(fine):
    """Of a function that is linear along each axis, the average of a voxel is its value at the voxel's centre."""
    axes = [(torch.arange(n, dtype=torch.float64) + 0.5) / n for n in fine]
    volume = 1 + axes[0][:, None, None] + 2 * axes[1][:, None] - 3 * axes[2]
    coarse = averaged(volume[None], (6, 5, 4))[0]
    middle = [(np.arange(n) + 0.5) / n for n in (6, 5, 4)]
    expected = 1 + middle[0][:, None, None] + 2 * middle[1][:, None] - 3 * middle[2]
    tolerance = 1e-6 if all(n % m == 0 for n, m in zip(fine, (6, 5, 4))) else 0.15
    np.testing.assert_allclose(coarse.numpy(), expected, atol=tolerance)
    assert float(coarse.mean()) == pytest.approx(float(volume.mean()), abs=1e-6)


def test_parts_of_voxels_count_as_parts():
    line = torch.tensor([3.0, 0.0, 6.0])[:, None, None]
    assert averaged(line, (2, 1, 1)).flatten().tolist() == pytest.approx([2.0, 4.0])

"""The compiled steps of total-variation minimisation against the plain ones, and starting from coarser voxels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bundle.classical import TotalVariation
from bundle.classical.tv_steps import move_edges, move_volume
from bundle.errors import InputError
from tests.classical.scans import error, exact, orbit

SHAPE = (2, 1, 7, 5, 6)


def edges() -> torch.Tensor:
    """Zero at the far faces, as the minimisation keeps them."""
    made = torch.randn(2, 3, *SHAPE[2:])
    for axis in range(3):
        made[:, axis : axis + 1].narrow(axis + 2, SHAPE[axis + 2] - 1, 1).zero_()
    return made


def test_compiled_steps_equal_the_plain_ones():
    """Double precision is never compiled."""
    field, ahead, volume = edges(), torch.randn(SHAPE), torch.rand(SHAPE)
    spread, step = torch.randn(SHAPE), torch.rand(1, *SHAPE[1:])
    results = []
    for dtype in (torch.float32, torch.float64):
        f, a, v = (tensor.to(dtype).clone() for tensor in (field, ahead, volume))
        move_edges(f, a, 0.5, 0.3)
        move_volume(v, a, f, spread.to(dtype), step.to(dtype))
        results.append((f, v, a))
    for found, expected in zip(*results):
        torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=1e-5)
    assert float(results[0][0].square().sum(dim=1).sqrt().max()) == pytest.approx(0.3, rel=1e-5)
    assert float(results[0][1].min()) == 0.0


def test_threads_make_no_difference():
    field, ahead = torch.zeros(1, 3, 96, 90, 80), torch.rand(1, 1, 96, 90, 80)
    results = []
    threads = torch.get_num_threads()
    for count in (1, 3):
        torch.set_num_threads(count)
        moved = field.clone()
        move_edges(moved, ahead, 0.5, 0.1)
        results.append(moved)
    torch.set_num_threads(threads)
    assert torch.equal(*results)


def test_a_coarse_start_saves_fine_steps():
    geometry = orbit(np.arange(6) * np.pi / 6).with_volume((56, 48, 40))
    volume, projections = exact(geometry)
    plain = TotalVariation(0.05, 40)(projections, geometry)
    started = TotalVariation(0.05, 40, (30,))(projections, geometry)
    assert error(started, volume) < 0.85 * error(plain, volume)
    for axis in (2, 3, 4):
        assert error(started.flip(axis), volume) > 1.2 * error(started, volume)


def test_a_given_volume_replaces_the_coarse_start():
    geometry = orbit(np.arange(4)).with_volume((14, 12, 10))
    projections = exact(geometry)[1]
    given = torch.rand(1, 1, 14, 12, 10)
    with_it = TotalVariation(0.05, 3, (5,))(projections, geometry, given)
    torch.testing.assert_close(with_it, TotalVariation(0.05, 3)(projections, geometry, given))


def test_what_cannot_be_halved_is_refused():
    geometry = orbit(np.arange(4)).with_volume((14, 12, 10))
    projections = exact(geometry)[1]
    with pytest.raises(InputError, match=r"coarse_iterations: cannot halve \[7, 6, 5\] voxels"):
        TotalVariation(0.05, 3, (5, 5))(projections, geometry)
    with pytest.raises(InputError, match=r"\[3, 0\] iterations"):
        TotalVariation(0.05, 3, (0,))
    odd = replace(geometry, detector_shape=(75, 96))
    with pytest.raises(InputError, match=r"\[75, 96\] pixels"):
        TotalVariation(0.05, 3, (5,))(projections[:, :, 1:], odd)

from __future__ import annotations

from functools import partial

import numpy as np

from bundle.sampling.points import draw_neighbours, draw_voxels, is_held_out, voxel_positions


def test_positions_are_voxel_centres_per_axis():
    positions = voxel_positions(np.array([[0, 0, 0], [3, 1, 7]]), (4, 2, 8))
    np.testing.assert_allclose(positions, [[1 / 8, 1 / 4, 1 / 16], [7 / 8, 3 / 4, 15 / 16]])


def test_published_positions_reach_the_corners():
    positions = voxel_positions(np.array([[0, 0, 0], [3, 1, 7]]), (4, 2, 8), corner=True)
    np.testing.assert_allclose(positions, [[0, 0, 0], [1, 1, 1]])


def test_draws_cover_the_volume_evenly():
    index = draw_voxels(50_000, (4, 2, 8), np.random.RandomState(0))
    counts = np.histogramdd(index, bins=(4, 2, 8), range=((0, 4), (0, 2), (0, 8)))[0]
    assert counts.min() > 0.85 * 50_000 / 64


def test_held_out_voxels_are_never_drawn():
    index = draw_voxels(5000, (9, 7, 5), np.random.RandomState(0), partial(is_held_out, every=4))
    assert index.shape == (5000, 3)
    assert not is_held_out(index, 4).any()
    everything = np.stack(np.meshgrid(*map(range, (9, 7, 5)), indexing="ij"), -1).reshape(-1, 3)
    drawn = {tuple(i) for i in index}
    assert drawn == {tuple(i) for i in everything[~is_held_out(everything, 4)]}


def test_neighbours_are_every_pair_evenly():
    shape = (4, 1, 3)
    index = draw_neighbours(60_000, shape, np.random.RandomState(0))
    assert index.shape == (60_000, 3)
    assert index.min() >= 0
    assert (index < shape).all()
    first, second = np.split(index, 2)
    pairs, counts = np.unique(np.concatenate([first, second - first], axis=1), axis=0, return_counts=True)
    along_x, along_z = (pairs[:, 3:] == axis for axis in ([1, 0, 0], [0, 0, 1]))
    assert along_x.all(axis=1).sum() == 3 * 1 * 3
    assert along_z.all(axis=1).sum() == 4 * 1 * 2
    assert len(pairs) == 17
    for axis, places in ((along_x, 9), (along_z, 8)):  # axes are drawn alike, however long
        share = counts[axis.all(axis=1)] / 15_000 * places
        assert share.min() > 0.9
        assert share.max() < 1.1

"""Sub-lattices are every n-th voxel, and together the volume."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bundle.prepared.lattice import block_voxels, join_blocks, lattice_factors, split_blocks


@pytest.mark.parametrize(
    ("shape", "factors"),
    [((256, 256, 256), (4, 4, 4)), ((20, 18, 16), (4, 2, 4)), ((7, 10, 12), (1, 2, 4))],
)
def test_factors(shape, factors):
    assert lattice_factors(shape) == factors


def test_a_block_is_every_nth_voxel():
    volume = np.arange(8 * 6 * 4).reshape(8, 6, 4)
    blocks = split_blocks(volume, (4, 2, 1))
    assert blocks.shape == (8, 2, 3, 4)
    np.testing.assert_array_equal(blocks[0], volume[::4, ::2])
    np.testing.assert_array_equal(blocks[1], volume[::4, 1::2])
    np.testing.assert_array_equal(blocks[6], volume[3::4, ::2])


def test_joined_again():
    volume = np.random.default_rng(0).random((8, 6, 12))
    factors = lattice_factors(volume.shape)
    assert torch.equal(join_blocks(torch.from_numpy(split_blocks(volume, factors)), factors), torch.from_numpy(volume))


def test_voxels_of_a_block():
    volume = np.random.default_rng(0).random((8, 6, 12))
    factors = lattice_factors(volume.shape)
    blocks = split_blocks(volume, factors)
    index = np.array([[0, 0, 0], [1, 2, 1], [1, 0, 2]])
    for block in range(len(blocks)):
        there = block_voxels(block, index, factors)
        np.testing.assert_array_equal(volume[tuple(there.T)], blocks[block][tuple(index.T)])

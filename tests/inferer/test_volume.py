from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from bundle.errors import InputError
from bundle.inferer import VolumeInferer
from bundle.networks import DiCE
from tests.networks.lively import lively
from tests.networks.test_dice import TINY


@pytest.fixture
def network(scan) -> DiCE:
    return lively(DiCE(scan, denoise_blocks=1, **TINY))


@pytest.fixture
def matrices(scan) -> torch.Tensor:
    return torch.tensor(scan.geometry(np.linspace(0, 2, 5)).unit_matrices(), dtype=torch.float32)[None]


def test_equals_the_one_tensor_call(network, matrices):
    x = torch.rand(1, 5, 24, 32)
    with torch.no_grad():
        expected = network(x, torch.linspace(0, 2, 5)).clamp(0, 1)
    torch.testing.assert_close(VolumeInferer(backend="numba")(x, network, matrices), expected, atol=1e-4, rtol=1e-4)


def test_matrices_may_come_with_the_inputs(network, matrices):
    """For callers such as MONAI Label, which hand on the image alone."""
    x = torch.rand(1, 5, 24, 32)
    image = MetaTensor(x[0], meta={"matrices": matrices[0]})[None]
    torch.testing.assert_close(VolumeInferer((4, 5, 6))(image, network), VolumeInferer((4, 5, 6))(x, network, matrices))
    for lacking in (x, image[:, :4]):
        with pytest.raises(InputError, match="matrices: are missing"):
            VolumeInferer((4, 5, 6))(lacking, network)


@pytest.mark.parametrize("backend", ["points", "auto"])
def test_memory_does_not_change_the_result(network, matrices, backend):
    """Least memory encodes single views and decodes few points at a time."""
    x, shape = torch.rand(1, 5, 24, 32), (11, 6, 7)
    whole = VolumeInferer(shape, backend)(x, network, matrices)
    with pytest.raises(InputError, match=r"memory_gb: is 0\.01, but .* Set it to") as error:
        VolumeInferer(shape, backend, memory_gb=0.01)(x, network, matrices)
    least = float(re.search(r"at least ([0-9.]+)\.", str(error.value))[1])
    tight = VolumeInferer(shape, backend, memory_gb=least + 0.006)(x, network, matrices)
    torch.testing.assert_close(tight, whole)


def test_any_resolution_samples_the_same_function(network, matrices):
    """Every third voxel centre of a grid three times as fine is a voxel centre of the coarse one."""
    x = torch.rand(1, 5, 24, 32)
    coarse = VolumeInferer((4, 5, 6), backend="numba")(x, network, matrices)
    fine = VolumeInferer((12, 15, 18), backend="numba")(x, network, matrices)
    torch.testing.assert_close(fine[..., 1::3, 1::3, 1::3], coarse, atol=1e-5, rtol=1e-4)


def test_dense_views_are_not_used_after_view_adjustment(network, matrices):
    x = torch.rand(1, 5, 24, 32)
    mask = torch.tensor([[True, True, True]])
    both = [
        VolumeInferer((4, 5, 6))(v, network, matrices, mask)
        for v in (x, x + torch.arange(5)[None, :, None, None].ge(3))
    ]
    torch.testing.assert_close(both[0], both[1])
    alone = VolumeInferer((4, 5, 6))(x[:, :3], network, matrices[:, :3])
    torch.testing.assert_close(both[0], alone)


def test_batch_with_different_numbers_of_sparse_views(network, matrices):
    x = torch.rand(2, 5, 24, 32)
    mask = torch.tensor([[True, True, True], [True, True, False]])
    together = VolumeInferer((4, 5, 6), backend="numba")(x, network, matrices.expand(2, -1, -1, -1), mask)
    alone = VolumeInferer((4, 5, 6), backend="numba")(x[1:, :2], network, matrices[:, :2])
    torch.testing.assert_close(together[1:], alone, atol=1e-5, rtol=1e-4)


def test_progress_bar_goes_to_stderr(network, matrices, capsys):
    VolumeInferer((4, 5, 6), progress=True)(torch.rand(1, 5, 24, 32), network, matrices)
    captured = capsys.readouterr()
    assert "reconstruct" in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("shape", [[8, 8], [8, 8, 8, 8], [0, 8, 8], [-8, 8, 8], [8.7, 8, 8], 8, "888x"])
def test_sizes_that_are_none(shape):
    with pytest.raises(InputError, match=r"^output_shape: is"):
        VolumeInferer(output_shape=shape)

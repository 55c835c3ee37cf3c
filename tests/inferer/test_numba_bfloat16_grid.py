"""Decoding with products in bfloat16, which processors that cannot multiply such numbers emulate."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bundle.errors import InputError
from bundle.inferer import VolumeInferer, numba_bfloat16_grid
from bundle.inferer.backends import BACKENDS, choose_backend
from bundle.networks import DiCE
from bundle.presets import load_preset
from tests.inferer.test_backends import ANGLES, PUBLISHED, matrices_of
from tests.networks.lively import lively
from tests.networks.test_dice import TINY

NAME = "numba_bfloat16"


@pytest.fixture
def _able(monkeypatch):
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: True)


def psnr_db(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float(-10 * torch.log10((found - expected).square().mean()))


@pytest.mark.usefixtures("_able")
@pytest.mark.parametrize(
    "options", [{}, PUBLISHED, {"point_channels": ()}, {"point_channels": (8,)}], ids=["new", "published", "0", "1"]
)
@pytest.mark.parametrize("shape", [(20, 18, 16), (1, 2, 3), (9, 5, 40)])
def test_is_close_to_the_point_wise_path(scan, options, shape):
    network = lively(DiCE(scan, **{**TINY, **options}))
    inputs, matrices = torch.rand(1, len(ANGLES), 24, 32), matrices_of(scan.geometry(ANGLES))
    expected = VolumeInferer(shape, backend="points")(inputs, network, matrices)
    found = VolumeInferer(shape, backend=NAME)(inputs, network, matrices)
    assert psnr_db(found, expected) > 60
    assert shape == (1, 2, 3) or expected.std() > 0.05


@pytest.mark.usefixtures("_able")
def test_the_papers_network():
    scan = load_preset("luna16", (64, 64), (32, 32, 32))
    network = lively(DiCE(scan))
    inputs = torch.rand(1, 6, 64, 64)
    matrices = matrices_of(scan.geometry(np.linspace(0, 3, 6)))
    expected = VolumeInferer(backend="numba")(inputs, network, matrices)
    found = VolumeInferer(backend=NAME)(inputs, network, matrices)
    assert psnr_db(found, expected) > 60
    assert not torch.equal(found, expected)


@pytest.mark.usefixtures("_able")
def test_pieces_do_not_matter(scan):
    network, shape = lively(DiCE(scan, **TINY)), [4, 12, 14]
    matrices = matrices_of(scan.geometry(ANGLES))
    with torch.no_grad():
        features = network.encode(torch.rand(1, len(ANGLES), 24, 32))
        volume = network.embed(features, matrices, None).volume
        task = network.grid([f[0] for f in features], volume[0], matrices[0], shape)
        outs = [torch.full(shape, torch.nan) for _ in range(2)]
        for out, points in zip(outs, (1, 10**6)):
            numba_bfloat16_grid.prepare(task, points)(0, 4, out)
    torch.testing.assert_close(*outs, atol=2e-3, rtol=0)


def test_is_chosen_where_the_processor_multiplies_bfloat16(monkeypatch):
    cpu = torch.device("cpu")
    for avx512, amx, expected in ((True, False, NAME), (False, True, NAME), (False, False, "numba")):
        monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda able=avx512: able)
        monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda able=amx: able)
        assert choose_backend("auto", cpu) is BACKENDS[expected]
    with pytest.raises(InputError, match="the processor does not multiply bfloat16 numbers"):
        choose_backend(NAME, cpu)

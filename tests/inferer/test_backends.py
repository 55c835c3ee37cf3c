"""Every backend against the network's point-wise path."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bundle.errors import InputError
from bundle.geometry import ConeBeamGeometry
from bundle.inferer import VolumeInferer
from bundle.inferer.backends import BACKENDS, REDUCED_PRECISION, choose_backend
from bundle.networks import DiCE
from tests.networks.lively import lively
from tests.networks.test_dice import TINY

EXACT = [name for name in BACKENDS if name not in REDUCED_PRECISION]
PUBLISHED = {
    "head": "norm_act",
    "low_resolution_grid": "corner",
    "output_grid": "corner",
    "projection_sampling": "corner_aligned",
}
ANGLES = [0.3, 1.0, 1.9, 2.4, 2.9]


def matrices_of(geometry: ConeBeamGeometry) -> torch.Tensor:
    return torch.tensor(geometry.unit_matrices(), dtype=torch.float32)[None]


def difference(network, inputs, matrices, mask=None, shape=(9, 11, 13), **options) -> tuple[float, float]:
    """Largest difference of a backend from the point-wise path, and the spread of the latter."""
    expected = VolumeInferer(shape, backend="points")(inputs, network, matrices, mask)
    found = VolumeInferer(shape, **options)(inputs, network, matrices, mask)
    return float((found - expected).abs().max()), float(expected.std())


@pytest.fixture
def inputs() -> torch.Tensor:
    return torch.rand(1, len(ANGLES), 24, 32)


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("options", [{}, PUBLISHED], ids=["new", "published"])
@pytest.mark.parametrize("shape", [(9, 11, 13), (20, 18, 16), (1, 2, 3), (33, 5, 40)])
def test_equals_the_point_wise_path(scan, inputs, name, options, shape):
    network = lively(DiCE(scan, denoise_blocks=1, **TINY, **options))
    worst, spread = difference(network, inputs, matrices_of(scan.geometry(ANGLES)), shape=shape, backend=name)
    assert worst < 1e-5
    assert spread > 0.05


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("tilt", ["gantry", "detector"])
def test_tilted_geometry(scan, inputs, name, tilt):
    """Rows along z then cross the detector's columns, or their magnification changes."""
    network = lively(DiCE(scan, **TINY))
    geometry = scan.geometry(ANGLES)
    angle = 0.2
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    if tilt == "gantry":
        names = ("source_mm", "detector_centre_mm", "u_axis", "v_axis")
    else:
        names = ("u_axis", "v_axis")
    geometry = replace(geometry, **{name: getattr(geometry, name) @ turn.T for name in names})
    worst, spread = difference(network, inputs, matrices_of(geometry), backend=name)
    assert worst < 1e-5
    assert spread > 0.05


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("options", [{}, PUBLISHED], ids=["new", "published"])
def test_small_and_shifted_detectors_leave_zeros(scan, inputs, name, options):
    """Most voxels then miss the detector of some view; zero is what these contribute."""
    network = lively(DiCE(scan, **TINY, **options))
    geometry = scan.geometry(ANGLES)
    near = replace(geometry, detector_centre_mm=geometry.detector_centre_mm + [0.0, 30.0, 90.0], pixel_mm=(4.0, 3.0))
    worst, _ = difference(network, inputs, matrices_of(near), backend=name)
    assert worst < 1e-5


@pytest.mark.parametrize("name", EXACT)
def test_cases_have_views_of_their_own(scan, name):
    network = lively(DiCE(scan, **TINY))
    inputs = torch.rand(2, 5, 24, 32)
    matrices = torch.cat([matrices_of(scan.geometry(np.add(ANGLES, start))) for start in (0, 0.7)])
    mask = torch.tensor([[True, True, True, True], [True, False, True, False]])
    worst, spread = difference(network, inputs, matrices, mask, backend=name)
    assert worst < 1e-5
    assert spread > 0.05


@pytest.mark.parametrize("name", EXACT)
def test_one_view(scan, inputs, name):
    network = lively(DiCE(scan, **TINY))
    worst, _ = difference(network, inputs[:, :1], matrices_of(scan.geometry(ANGLES[:1])), backend=name)
    assert worst < 1e-5


@pytest.mark.parametrize("name", EXACT)
def test_pieces_do_not_matter(scan, inputs, name):
    """From one row at a time to everything at once."""
    network = lively(DiCE(scan, **TINY))
    matrices, shape = matrices_of(scan.geometry(ANGLES)), [10, 12, 14]
    with torch.no_grad():
        features = network.encode(inputs)
        volume = network.embed(features, matrices, None).volume
        task = network.grid([f[0] for f in features], volume[0], matrices[0], shape)
        outs = [torch.full(shape, torch.nan) for _ in range(3)]
        for out, points in zip(outs, (1, 40, 10**6)):
            decode = BACKENDS[name].prepare(task, points)
            for first, last in ((0, 1), (1, 9), (9, 10)):
                decode(first, last, out[first:last])
    for out in outs[1:]:
        torch.testing.assert_close(out, outs[0], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", EXACT)
def test_reduced_precision_around_it_reaches_the_features_alone(scan, inputs, name):
    network = lively(DiCE(scan, **TINY))
    with torch.autocast("cpu", torch.bfloat16):
        worst, _ = difference(network, inputs, matrices_of(scan.geometry(ANGLES)), backend=name)
        out = VolumeInferer((8, 8, 8), backend=name)(inputs, network, matrices_of(scan.geometry(ANGLES)))
    assert out.dtype == torch.float32
    assert worst < 0.05  # the point-wise path multiplies in reduced precision, too


def test_choice(monkeypatch):
    cpu = torch.device("cpu")
    assert choose_backend("numba", cpu) is BACKENDS["numba"]
    monkeypatch.setattr("bundle.inferer.numba_grid.find_spec", lambda name: None)
    assert choose_backend("auto", cpu) is BACKENDS["torch"]
    with pytest.raises(InputError, match="numba is not installed"):
        choose_backend("numba", cpu)
    with pytest.raises(InputError, match="inferer backend: is 'fast'"):
        VolumeInferer(backend="fast")

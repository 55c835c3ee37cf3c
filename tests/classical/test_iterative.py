"""SART, CGLS and total variation, against the phantom and against linear algebra."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bundle.classical import CGLS, FDK, SART, TotalVariation
from bundle.classical.cgls import cgls_iterates
from bundle.classical.pixel_binning import binned
from bundle.classical.sart import interleaved_subsets
from bundle.classical.tv_steps import gradient, gradient_adjoint
from bundle.errors import InputError
from bundle.geometry import circular
from bundle.projector import ConeBeamProjector
from tests.classical.scans import error, exact, orbit

SPARSE = np.arange(10) * np.pi / 10


def tiny():
    """A scan small enough to write its matrix down, and well conditioned."""
    angles = np.deg2rad([10, 40, 75, 100, 130, 165])
    return circular(angles, 300, 500, (8, 9), (22.0, 24.0), (5, 4, 3), (22.0, 25.0, 30.0))


def matrix(geometry) -> torch.Tensor:
    """[rays, voxels] of the projector, column by column, in double precision."""
    count = int(np.prod(geometry.volume_shape))
    columns = torch.eye(count, dtype=torch.float64).reshape(count, 1, *geometry.volume_shape)
    return ConeBeamProjector(geometry)(columns).flatten(1).T


@pytest.mark.parametrize("method", [SART(), SART(subsets=3), CGLS(), TotalVariation(iterations=80)])
def test_beats_filtered_back_projection_from_few_views(method):
    geometry = orbit(SPARSE)
    volume, projections = exact(geometry)
    found = method(projections, geometry)
    assert error(found, volume) < 0.75 * error(FDK(hann_cut=0.8)(projections, geometry), volume)
    for axis in (2, 3, 4):
        assert error(found.flip(axis), volume) > 1.2 * error(found, volume)
    assert float(found.min()) >= 0.0


@pytest.mark.parametrize("method", [SART(), CGLS(), TotalVariation(iterations=20)])
def test_items_of_a_batch_are_independent(method):
    geometry = orbit(SPARSE[:4]).with_volume((14, 12, 10))
    projections = exact(geometry)[1]
    pair = torch.cat([projections, 0.5 * projections.flip(1)])
    torch.testing.assert_close(method(pair, geometry)[:1], method(projections, geometry), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", [SART(iterations=1), CGLS(iterations=1)])
def test_starts_from_the_given_volume(method):
    geometry = orbit(SPARSE).with_volume((28, 24, 22))
    volume = exact(geometry)[0]
    projections = ConeBeamProjector(geometry)(volume)
    torch.testing.assert_close(method(projections, geometry, volume), volume, atol=1e-5, rtol=0.0)
    assert error(method(projections, geometry, 0.9 * volume), volume) < error(method(projections, geometry), volume)


def test_cgls_reaches_the_least_squares_solution():
    geometry = tiny()
    a = matrix(geometry)
    projections = torch.rand(1, 6, 8, 9)
    expected = torch.linalg.lstsq(a, projections.double().flatten()[:, None]).solution.reshape(1, 1, 5, 4, 3)
    found = CGLS(iterations=60, positive=False)(projections, geometry)
    torch.testing.assert_close(found.double(), expected, rtol=2e-3, atol=2e-5)


def test_cgls_residuals_fall_and_are_those_of_the_volumes():
    geometry = orbit(SPARSE).with_volume((28, 24, 22))
    projections = exact(geometry)[1]
    start = torch.zeros(1, 1, 28, 24, 22)
    norms = []
    for _, (volume, residual) in zip(range(8), cgls_iterates(projections, geometry, start)):
        torch.testing.assert_close(residual, projections - ConeBeamProjector(geometry)(volume), atol=0.05, rtol=1e-3)
        norms.append(float(residual.norm()))
    assert norms == sorted(norms, reverse=True)


def test_cgls_stays_finite_when_it_has_converged():
    geometry = tiny()
    assert torch.isfinite(CGLS(iterations=200)(torch.rand(1, 6, 8, 9), geometry)).all()
    assert torch.equal(CGLS()(torch.zeros(1, 6, 8, 9), geometry), torch.zeros(1, 1, 5, 4, 3))


def test_sart_solves_a_consistent_system():
    geometry = tiny()
    volume = torch.rand(1, 1, 5, 4, 3)
    projections = ConeBeamProjector(geometry)(volume)
    torch.testing.assert_close(SART(iterations=300)(projections, geometry), volume, atol=5e-3, rtol=0.0)


def test_gradient_and_its_adjoint():
    volume, field = torch.rand(2, 1, 5, 4, 3, dtype=torch.float64), torch.rand(2, 3, 5, 4, 3, dtype=torch.float64)
    left, right = (gradient(volume) * field).sum(), (volume * gradient_adjoint(field)).sum()
    assert float(left) == pytest.approx(float(right))
    assert torch.equal(gradient(volume)[0, 1, 2, 1], volume[0, 0, 2, 2] - volume[0, 0, 2, 1])


def objective(x: torch.Tensor, a: torch.Tensor, p: torch.Tensor, weight: float, geometry) -> float:
    """In value^2 mm^3, from the matrix and the sizes in mm: pixels of area a / m^2, edges of voxels' own sides."""
    area_mm2 = np.prod(geometry.pixel_mm) / (500.0 / 300.0) ** 2
    misfit = 0.5 * area_mm2 * ((a @ x.flatten() - p) ** 2 / a.sum(dim=1)).sum()
    per_mm = gradient(x, [1 / side for side in geometry.voxel_mm])
    return float(misfit + weight * np.prod(geometry.voxel_mm) * per_mm.square().sum(dim=1).sqrt().sum())


def test_total_variation_reaches_the_minimum():
    """No small change of the result lowers the objective, written down with the matrix."""
    geometry, weight = tiny(), 0.3
    truth = torch.zeros(1, 1, 5, 4, 3)
    truth[:, :, 1:4, 1:3] = 1.0
    projections = ConeBeamProjector(geometry)(truth) + torch.randn(1, 6, 8, 9)
    method = TotalVariation(weight, iterations=1000)
    found = method(projections, geometry).double()
    stated = method.objective(found.float(), projections, geometry)
    averages, geometry = binned(projections, geometry)
    assert averages.shape == (1, 6, 4, 9)  # two rows make a voxel's shadow
    a = matrix(geometry)
    crossed = a.sum(dim=1) > 1e-3 * a.sum(dim=1).max()
    a, p = a[crossed], averages.double().flatten()[crossed]
    lowest = objective(found, a, p, weight, geometry)
    assert stated == pytest.approx(lowest, rel=1e-4)
    generator = torch.Generator().manual_seed(0)
    for scale in (0.1, 0.01):
        for _ in range(200):
            step = scale * torch.randn(found.shape, generator=generator, dtype=torch.float64)
            assert objective((found + step).clamp(min=0), a, p, weight, geometry) > lowest - 1e-7 * lowest
    for factor in (0.98, 1.02):
        assert objective(factor * found, a, p, weight, geometry) > lowest


def test_total_variation_flattens_noise():
    geometry = orbit(SPARSE).with_volume((18, 16, 14))
    volume, projections = exact(geometry)
    noisy = projections + 2.0 * torch.randn(projections.shape)
    weak, strong = (TotalVariation(w, 100)(noisy, geometry) for w in (0.001, 0.3))
    assert error(strong, volume) < error(weak, volume)


@pytest.mark.parametrize(("views", "count"), [(10, 10), (24, 5), (7, 3), (3, 20), (1, 1), (200, 20)])
def test_subsets_hold_every_view_once(views, count):
    subsets = interleaved_subsets(views, count)
    assert sorted(np.concatenate(subsets)) == list(range(views))
    assert len(subsets) == min(views, count)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SART(iterations=0),
        lambda: SART(relaxation=2.5),
        lambda: SART(subsets=0),
        lambda: CGLS(iterations=0),
        lambda: TotalVariation(weight_mm=-1),
        lambda: TotalVariation(iterations=0),
    ],
)
def test_wrong_options_are_refused(make):
    with pytest.raises(InputError):
        make()

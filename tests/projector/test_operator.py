from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bundle.geometry import circular
from bundle.phantoms import asymmetric_phantom, line_integrals, voxelise
from bundle.presets import load_preset
from bundle.projector import ConeBeamProjector

ANGLES = np.deg2rad([0, 20, 45, 90, 133, 171, 250])


def relative_error(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


def project(volume: np.ndarray, geometry) -> np.ndarray:
    return ConeBeamProjector(geometry)(torch.from_numpy(volume)[None, None])[0].numpy()


@pytest.mark.parametrize(
    ("preset", "tolerance"),
    [("luna16", 0.02), ("knee", 0.02), ("toothfairy", 0.02)],  # the last has its detector before the isocentre
)
def test_agrees_with_analytic_ellipsoids(preset, tolerance):
    """Anisotropic voxels and pixels, an asymmetric phantom, every quadrant: no axis can be swapped or flipped."""
    geometry = load_preset(preset, (48, 60), (104, 88, 96)).geometry(ANGLES)
    ellipsoids = asymmetric_phantom(geometry.volume_size_mm)
    truth = line_integrals(ellipsoids, geometry)
    found = project(voxelise(ellipsoids, geometry), geometry)
    assert relative_error(found, truth) < tolerance
    assert relative_error(found[:, ::-1], truth) > 0.05
    assert relative_error(found[:, :, ::-1], truth) > 0.05
    assert relative_error(project(voxelise(ellipsoids, geometry), geometry.select([1, 0, 2, 3, 4, 5, 6])), truth) > 0.02


def test_error_falls_with_resolution():
    errors = []
    for n in (32, 64, 128):
        geometry = load_preset("luna16", (40, 40), (n, n, n)).geometry(ANGLES[:3])
        ellipsoids = asymmetric_phantom(geometry.volume_size_mm)
        errors.append(
            relative_error(project(voxelise(ellipsoids, geometry), geometry), line_integrals(ellipsoids, geometry))
        )
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("offset", [(0.0, 0.0), (11.0, 40.0)])
def test_shifted_detector_and_off_centre_volume(scan, offset):
    geometry = circular(
        ANGLES,
        scan.sod_mm,
        scan.sdd_mm,
        (40, 48),
        (8.0, 8.0),
        (80, 72, 64),
        (2.0, 2.2, 2.4),
        detector_offset_mm=offset,
        volume_centre_mm=(10.0, -6.0, 8.0),
    )
    ellipsoids = [
        replace(e, centre_mm=np.add(e.centre_mm, geometry.volume_centre_mm))
        for e in asymmetric_phantom(geometry.volume_size_mm)
    ]
    assert (
        relative_error(project(voxelise(ellipsoids, geometry), geometry), line_integrals(ellipsoids, geometry)) < 0.025
    )


def test_rows_run_as_the_geometry_says(scan, phantom):
    geometry = scan.geometry(ANGLES)
    np.testing.assert_allclose(project(phantom, geometry)[:, ::-1], project(phantom, geometry.flip_rows()), atol=1e-3)


def test_ones_give_the_path_length(scan):
    """Along the central ray at 0 and 90 degrees: the sides of the box."""
    geometry = circular(np.deg2rad([0, 90]), 500, 800, (3, 3), (1.0, 1.0), (20, 18, 16), (8.0, 9.0, 10.0))
    lengths = project(np.ones((20, 18, 16), np.float32), geometry)[:, 1, 1]
    np.testing.assert_allclose(lengths, [160.0, 162.0], rtol=1e-5)


@pytest.mark.parametrize("batch", [1, 3])
def test_adjoint(scan, batch):
    """<A x, y> = <x, A^T y>."""
    projector = ConeBeamProjector(scan.geometry(ANGLES))
    x = torch.rand(batch, 1, *scan.volume_shape)
    y = torch.rand(batch, len(ANGLES), *scan.detector_shape)
    left, right = (projector(x).double() * y).sum(), (x.double() * projector.adjoint(y)).sum()
    assert float(left) == pytest.approx(float(right), rel=1e-4)


def test_gradients(scan):
    geometry = circular(ANGLES[:3], 500, 800, (4, 5), (60.0, 50.0), (5, 4, 3), (30.0, 35.0, 40.0))
    projector = ConeBeamProjector(geometry)
    volume = torch.rand(1, 1, 5, 4, 3, dtype=torch.float64, requires_grad=True)
    projections = torch.rand(1, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(projector, (volume,))
    assert torch.autograd.gradcheck(projector.adjoint, (projections,))


def test_memory_bound_does_not_change_the_result(scan, phantom):
    geometry = scan.geometry(ANGLES)
    volume = torch.from_numpy(phantom)[None, None]
    whole, pieces = ConeBeamProjector(geometry), ConeBeamProjector(geometry, max_memory_mb=0.01)
    torch.testing.assert_close(pieces(volume), whole(volume))
    y = whole(volume)
    torch.testing.assert_close(pieces.adjoint(y), whole.adjoint(y), rtol=1e-4, atol=1e-2)


def test_batch_items_are_independent(scan, phantom):
    projector = ConeBeamProjector(scan.geometry(ANGLES))
    volumes = torch.stack([torch.from_numpy(phantom), torch.from_numpy(phantom).flip(0)])[:, None]
    torch.testing.assert_close(projector(volumes)[1], projector(volumes[1:])[0])


def test_wrong_shapes_are_named(scan):
    projector = ConeBeamProjector(scan.geometry(ANGLES))
    with pytest.raises(ValueError, match="20, 18, 16"):
        projector(torch.zeros(1, 1, 20, 18, 17))
    with pytest.raises(ValueError, match="7, 24, 32"):
        projector.adjoint(torch.zeros(1, 7, 24, 31))


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool])
def test_whole_numbers_are_refused(scan, dtype):
    projector = ConeBeamProjector(scan.geometry(ANGLES))
    with pytest.raises(ValueError, match="floating point"):
        projector(torch.ones(1, 1, *scan.volume_shape, dtype=dtype))


@pytest.mark.parametrize("backend", ["torch", "auto"])
def test_nothing_gives_nothing(scan, backend):
    projector = ConeBeamProjector(scan.geometry(ANGLES), backend)
    assert projector(torch.zeros(0, 1, *scan.volume_shape)).shape == (0, len(ANGLES), *scan.detector_shape)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_cpu(scan, phantom):
    projector = ConeBeamProjector(scan.geometry(ANGLES))
    volume = torch.from_numpy(phantom)[None, None]
    torch.testing.assert_close(projector(volume.cuda()).cpu(), projector(volume), rtol=1e-4, atol=1e-3)

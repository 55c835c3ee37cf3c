"""Honest scans: against closed forms, and independent of the resolution that is reconstructed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from bundle.data.fine_grid import averaged
from bundle.data.to_scan_grid import ToScanGridd
from bundle.geometry import ConeBeamGeometry, circular
from bundle.phantoms import asymmetric_phantom, line_integrals, voxelise
from bundle.physics.acquisition import Acquisition
from bundle.physics.attenuation import normalised_to_attenuation
from bundle.physics.noise import DetectorNoise
from bundle.presets import ScanPreset
from bundle.simulation import FINE, OWN_VOXELS, SCANNED_FROM, project_own_voxels, simulate_item, simulate_scan

WINDOW = (-1000.0, 1000.0)
PHANTOM = asymmetric_phantom((200.0, 180.0, 160.0))


def geometry(voxels: tuple[int, int, int] = (25, 20, 16)) -> ConeBeamGeometry:
    """An anisotropic scan with its detector off the axis."""
    return circular(
        [0.1, 0.9, 2.0],
        sod_mm=600.0,
        sdd_mm=900.0,
        detector_shape=(24, 40),
        pixel_mm=(12.0, 8.0),
        volume_shape=voxels,
        voxel_mm=tuple(side / n for side, n in zip((200.0, 180.0, 160.0), voxels)),
        detector_offset_mm=(3.0, -5.0),
        row_direction="-z",
    )


def pixel_means(scan: ConeBeamGeometry, rays: int = 10) -> np.ndarray:
    """[views, V, U] exact line integrals, averaged over the area of each pixel, normalised."""
    rows, columns = scan.detector_shape
    exact = line_integrals(PHANTOM, scan.with_pixels((rays * rows, rays * columns)))
    return exact.reshape(scan.num_views, rows, rays, columns, rays).mean(axis=(2, 4)) / 200.0


def relative(values: torch.Tensor, truth: np.ndarray) -> float:
    return float(np.linalg.norm(values[0].numpy() - truth) / np.linalg.norm(truth))


def phantom_on(scan: ConeBeamGeometry) -> torch.Tensor:
    return torch.from_numpy(voxelise(PHANTOM, scan))[None, None]


def test_comes_closer_to_the_exact_line_integrals():
    """Of ellipsoids, which have a closed form; the own voxels' projections are several times as far from it."""
    scan = geometry()
    exact = pixel_means(scan)
    honest = relative(simulate_scan(phantom_on(geometry((50, 40, 32))), scan, WINDOW), exact)
    finer = relative(simulate_scan(phantom_on(geometry((100, 80, 64))), scan, WINDOW), exact)
    own = relative(project_own_voxels(phantom_on(scan), scan, WINDOW), exact)
    assert honest < 0.5 * own
    assert finer < 0.6 * honest
    assert finer < 0.01 < own


def test_one_ray_a_pixel_is_further_from_the_pixels_means():
    scan = geometry()
    exact, fine = pixel_means(scan), phantom_on(geometry((100, 80, 64)))
    single = relative(simulate_scan(fine, scan, WINDOW, rays_per_pixel=1), exact)
    assert relative(simulate_scan(fine, scan, WINDOW), exact) < 0.5 * single


@pytest.mark.parametrize("mirrored", [-1, -2, -3])
def test_a_mirrored_volume_shows(mirrored):
    scan = geometry()
    fine = phantom_on(geometry((50, 40, 32))).flip(mirrored)
    assert relative(simulate_scan(fine, scan, WINDOW), pixel_means(scan)) > 0.05


def test_a_volume_that_is_not_twice_as_fine_is_refused():
    scan = geometry()
    for shape in ((25, 20, 16), (50, 40, 31)):
        with pytest.raises(ValueError, match=r"at least \[50, 40, 32\]"):
            simulate_scan(torch.zeros(1, 1, *shape), scan, WINDOW)


def test_pixels_count_photons():
    """With physics, the intensities of a pixel's rays add up: less attenuation than their mean wherever they differ."""
    scan = geometry()
    fine = 2.0 * phantom_on(geometry((50, 40, 32)))
    mean = normalised_to_attenuation(simulate_scan(fine, scan, WINDOW), WINDOW)
    counted = normalised_to_attenuation(simulate_scan(fine, scan, WINDOW, Acquisition()), WINDOW)
    rays = scan.with_pixels((48, 80))
    single = normalised_to_attenuation(project_own_voxels(fine, rays.with_volume((50, 40, 32)), WINDOW), WINDOW)
    expected = -torch.log(torch.nn.functional.avg_pool2d(torch.exp(-single.double()), 2))
    torch.testing.assert_close(counted.double(), expected, atol=1e-5, rtol=1e-5)
    assert bool((counted <= mean + 1e-5).all())
    assert float((mean - counted).max()) > 0.01


def test_opaque_pixels_stay_finite():
    scan = geometry()
    fine = torch.full((1, 1, 50, 40, 32), 100.0)
    assert bool(torch.isfinite(simulate_scan(fine, scan, WINDOW, Acquisition())).all())


def test_noise_is_that_of_one_pixel():
    scan = geometry()
    fine = phantom_on(geometry((50, 40, 32)))
    noisy = Acquisition(noise=DetectorNoise(photons=1e4, electronic_sigma=0.0))
    exact = normalised_to_attenuation(simulate_scan(fine, scan, WINDOW, Acquisition()), WINDOW)
    made = [simulate_scan(fine, scan, WINDOW, noisy, torch.Generator().manual_seed(n)) for n in range(20)]
    difference = normalised_to_attenuation(torch.cat(made), WINDOW) - exact
    expected = noisy.noise.variance(exact)
    assert float(difference.square().mean() / expected.mean()) == pytest.approx(1.0, rel=0.1)


PRESET = ScanPreset(
    "small", 600.0, 900.0, (24, 40), (12.0, 8.0), (24, 20, 16), (200 / 24, 9.0, 10.0), WINDOW, 50, row_direction="-z"
)


def phantom_ct(shape: tuple[int, int, int] = (90, 70, 60)) -> MetaTensor:
    """The phantom as a CT of its own resolution, its axes as the patient's LPS, the affine in RAS."""
    scan = geometry(shape)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ scan.volume_affine
    hu = voxelise(PHANTOM, scan) * 2000.0 - 1000.0
    return MetaTensor(torch.from_numpy(hu)[None], affine=torch.as_tensor(affine))


def test_the_outputs_resolution_leaves_the_projections_as_they_are():
    ct, angles = phantom_ct(), [0.1, 0.9, 2.0]
    made = {}
    for shape in ((24, 20, 16), (12, 10, 8), (30, 24, 21)):
        preset = PRESET.resized(volume_shape=shape)
        item = ToScanGridd("image", preset)({"image": ct})
        made[shape] = simulate_item(item, preset.geometry(angles), WINDOW)
        assert item["image"].shape[1:] == shape
    first, *others = made.values()
    for other in others:
        assert torch.equal(first, other)
    own = []
    for shape in ((24, 20, 16), (12, 10, 8)):
        preset = PRESET.resized(volume_shape=shape)
        item = ToScanGridd("image", preset, own_voxels=True)({"image": ct})
        assert item[SCANNED_FROM] == OWN_VOXELS
        assert FINE not in item
        own.append(simulate_item(item, preset.geometry(angles), WINDOW))
    assert float((own[0] - own[1]).norm() / own[0].norm()) > 0.01


def test_the_truth_is_the_average_of_the_fine_voxels():
    item = ToScanGridd("image", PRESET)({"image": phantom_ct()})
    assert item[FINE].dtype == torch.float16
    assert item[FINE].shape[1:] == (90, 70, 60)
    torch.testing.assert_close(
        averaged(item[FINE].float(), PRESET.volume_shape), item["image"].as_tensor(), atol=1e-3, rtol=0
    )
    exact = phantom_on(replace(geometry(), volume_shape=(24, 20, 16), voxel_mm=PRESET.voxel_mm))
    assert float((item["image"].as_tensor()[None] - exact).abs().mean()) < 0.004


def test_says_how_the_scan_was_made():
    item = ToScanGridd("image", PRESET)({"image": phantom_ct()})
    assert item[SCANNED_FROM] == "90x70x60 voxels of a CT of 2.22x2.57x2.67 mm; 2x2 rays a pixel"
    item = ToScanGridd("image", PRESET)({"image": phantom_ct((90, 70, 10))})
    assert "of 2.22x2.57x16 mm (coarser than the reconstruction); 2x2" in item[SCANNED_FROM]
    assert item[FINE].shape[1:] == (90, 70, 32)

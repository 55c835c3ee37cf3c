from __future__ import annotations

import itertools

import numpy as np

from bundle.phantoms import Ellipsoid, asymmetric_phantom, line_integrals, voxelise
from bundle.presets import ScanPreset


def test_central_ray_through_an_ellipsoid(scan):
    odd = ScanPreset(**{**vars(scan), "detector_shape": (25, 33)})
    geometry = odd.geometry(np.deg2rad([0, 90]))
    integrals = line_integrals([Ellipsoid((3.0, -4.0, 0), (30.0, 20.0, 50.0), 2.0)], geometry)
    assert np.isclose(integrals[0, 12, 16], 2 * 2 * 30 * np.sqrt(1 - (4 / 20) ** 2))
    assert np.isclose(integrals[1, 12, 16], 2 * 2 * 20 * np.sqrt(1 - (3 / 30) ** 2))


def test_voxel_values_add_up_to_the_volume(scan):
    geometry = scan.geometry([0.0])
    volume = voxelise([Ellipsoid((5, 0, -3), (40, 35, 30), 0.7)], geometry)
    exact = 0.7 * 4 / 3 * np.pi * 40 * 35 * 30
    assert np.isclose(volume.sum() * np.prod(geometry.voxel_mm), exact, rtol=5e-3)


def test_asymmetric_phantom_differs_from_every_flip_and_permutation(scan):
    cube = ScanPreset(**{**vars(scan), "volume_shape": (16, 16, 16), "voxel_mm": (8.0, 8.0, 8.0)})
    geometry = cube.geometry([0.0])
    volume = voxelise(asymmetric_phantom(geometry.volume_size_mm), geometry)
    for axes in itertools.permutations(range(3)):
        for flips in itertools.product((1, -1), repeat=3):
            if axes == (0, 1, 2) and flips == (1, 1, 1):
                continue
            other = volume.transpose(axes)[:: flips[0], :: flips[1], :: flips[2]]
            assert np.abs(other - volume).max() > 0.2

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bundle.errors import InputError
from bundle.matrix_geometry import geometry_of_matrices
from bundle.phantoms import asymmetric_phantom, voxelise
from bundle.presets import load_preset
from bundle.projector import ConeBeamProjector

ANGLES = [0.1, 0.9, 2.2]


def turned(geometry, axis, angle):
    """The source and the detector tilted about x (0) or moved off the orbit."""
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    names = ("source_mm", "detector_centre_mm", "u_axis", "v_axis")
    return replace(geometry, **{name: getattr(geometry, name) @ turn.T for name in names})


@pytest.mark.parametrize("preset", ["luna16", "toothfairy"])
@pytest.mark.parametrize("rows", ["+z", "-z"])
@pytest.mark.parametrize("change", ["none", "tilt", "offset"])
def test_the_rays_are_the_same(preset, rows, change):
    """Line integrals of an asymmetric phantom, of anisotropic voxels and pixels, also where SDD is below SOD."""
    scan = load_preset(preset, (24, 32), (20, 18, 16), row_direction=rows)
    geometry = scan.geometry(ANGLES)
    if change == "tilt":
        geometry = turned(geometry, 0, 0.1)
    elif change == "offset":
        shift = 0.2 * geometry.pixel_mm[1] * geometry.detector_shape[1]
        geometry = replace(geometry, detector_centre_mm=geometry.detector_centre_mm + shift * geometry.u_axis)
    matrices = geometry.unit_matrices().astype(np.float32)  # as the network gets them
    found = geometry_of_matrices(matrices, geometry.volume_size_mm, geometry.volume_shape, geometry.detector_shape)
    phantom = asymmetric_phantom(geometry.volume_size_mm)
    volume = torch.from_numpy(voxelise(phantom, geometry, 1)).float()[None, None]
    expected = ConeBeamProjector(geometry)(volume)
    assert expected.std() > 1
    torch.testing.assert_close(ConeBeamProjector(found)(volume), expected, atol=1e-3 * float(expected.max()), rtol=0)


def test_views_of_different_detectors_are_refused():
    geometry = load_preset("luna16", (24, 32), (20, 18, 16)).geometry(ANGLES)
    matrices = geometry.unit_matrices()
    matrices[1, 1] *= 1.1
    with pytest.raises(InputError, match="pixels of different shapes"):
        geometry_of_matrices(matrices, geometry.volume_size_mm, geometry.volume_shape, geometry.detector_shape)

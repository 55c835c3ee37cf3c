"""The projector against the Reconstruction Toolkit's, an independent implementation with other axes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bundle.phantoms import asymmetric_phantom, voxelise
from bundle.presets import load_preset
from bundle.projector import ConeBeamProjector

ANGLES_DEG = [0.0, 30.0, 90.0, 155.0]


def rtk_joseph(volume: np.ndarray, geometry, sod_mm: float, sdd_mm: float) -> np.ndarray:
    """Projects with RTK. It turns about y with the source at +z for angle 0: its (x, y, z) are our (y, z, x)."""
    itk = pytest.importorskip("itk", reason="needs itk-rtk")
    if not hasattr(itk, "RTK"):
        pytest.skip("needs itk-rtk")
    rtk = itk.RTK
    image_type = itk.Image[itk.F, 3]

    our_origin, our_step = geometry.volume_affine[:3, 3], geometry.voxel_mm
    # numpy order is [z, y, x] of RTK, which is [x, z, y] of ours
    image = itk.image_from_array(np.ascontiguousarray(volume.transpose(0, 2, 1)).astype(np.float32))
    image.SetSpacing([our_step[1], our_step[2], our_step[0]])
    image.SetOrigin([our_origin[1], our_origin[2], our_origin[0]])

    rows, columns = geometry.detector_shape
    pixel_v, pixel_u = geometry.pixel_mm
    stack = rtk.ConstantImageSource[image_type].New()
    stack.SetSize([columns, rows, len(ANGLES_DEG)])
    stack.SetSpacing([pixel_u, pixel_v, 1.0])
    stack.SetOrigin([-(columns - 1) / 2 * pixel_u, -(rows - 1) / 2 * pixel_v, 0.0])

    scan = rtk.ThreeDCircularProjectionGeometry.New()
    for angle in ANGLES_DEG:
        scan.AddProjection(sod_mm, sdd_mm, angle, 0, 0, 0, 0, 0, 0)
    projector = rtk.JosephForwardProjectionImageFilter[image_type, image_type].New()
    projector.SetInput(0, stack.GetOutput())
    projector.SetInput(1, image)
    projector.SetGeometry(scan)
    projector.Update()
    return itk.array_from_image(projector.GetOutput())


def test_agrees_with_rtk():
    preset = load_preset("luna16", (40, 52), (72, 64, 56))
    geometry = preset.geometry(np.deg2rad(ANGLES_DEG))
    volume = voxelise(asymmetric_phantom(geometry.volume_size_mm), geometry)
    theirs = rtk_joseph(volume, geometry, preset.sod_mm, preset.sdd_mm)
    ours = ConeBeamProjector(geometry)(torch.from_numpy(volume)[None, None])[0].numpy()
    assert np.linalg.norm(ours - theirs) / np.linalg.norm(theirs) < 1e-3

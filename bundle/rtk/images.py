"""Volumes and projections as RTK's images, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from bundle.geometry import ConeBeamGeometry
from bundle.rtk.geometry import to_rtk_vector
from bundle.rtk.toolkit import image_type, itk_and_rtk

__all__ = [
    "empty_projections",
    "empty_volume",
    "projections_to_itk",
    "renewable",
    "volume_from_itk",
    "volume_to_itk",
]


def volume_to_itk(volume: np.ndarray, geometry: ConeBeamGeometry) -> Any:
    """[x, y, z] as an image at its place in RTK's world."""
    itk, _ = itk_and_rtk("RTK's images")
    # NumPy's order of an image is [z, y, x]; RTK's z, y, x are our x, z, y.
    image = itk.image_from_array(np.ascontiguousarray(volume.transpose(0, 2, 1), dtype=np.float32))
    image.SetSpacing([float(s) for s in to_rtk_vector(geometry.voxel_mm)])
    image.SetOrigin([float(c) for c in to_rtk_vector(geometry.volume_affine[:3, 3])])
    return image


def volume_from_itk(image: Any) -> np.ndarray:
    """An image's voxels as [x, y, z] float32."""
    itk, _ = itk_and_rtk("RTK's images")
    return np.ascontiguousarray(itk.array_from_image(image).transpose(0, 2, 1), dtype=np.float32)


def projections_to_itk(projections: np.ndarray, geometry: ConeBeamGeometry) -> Any:
    """[view, v, u] as a stack whose coordinates' origin is the detector's centre."""
    itk, _ = itk_and_rtk("RTK's images")
    stack = itk.image_from_array(np.ascontiguousarray(projections, dtype=np.float32))
    (rows, columns), (pixel_v, pixel_u) = geometry.detector_shape, geometry.pixel_mm
    stack.SetSpacing([pixel_u, pixel_v, 1.0])
    stack.SetOrigin([-(columns - 1) / 2 * pixel_u, -(rows - 1) / 2 * pixel_v, 0.0])
    return stack


def renewable(image: Any) -> Any:
    """A filter whose output is an image, and is made again where a filter that works in place has consumed it.

    RTK's total variation asks for its projections twice, and finds none at the second time where it worked in place.
    """
    itk, _ = itk_and_rtk("RTK's images")
    copy = itk.CastImageFilter[image_type(), image_type()].New()
    copy.SetInput(image)
    copy.InPlaceOff()
    copy.Update()
    return copy


def empty_volume(geometry: ConeBeamGeometry) -> Any:
    """A source of zeros on the volume's grid; RTK's filters consume their inputs, so each run needs a new one."""
    _, rtk = itk_and_rtk("RTK's images")
    image = rtk.ConstantImageSource[image_type()].New()
    image.SetSize([int(n) for n in to_rtk_vector(geometry.volume_shape)])
    image.SetSpacing([float(s) for s in to_rtk_vector(geometry.voxel_mm)])
    image.SetOrigin([float(c) for c in to_rtk_vector(geometry.volume_affine[:3, 3])])
    return image


def empty_projections(geometry: ConeBeamGeometry) -> Any:
    """A source of zeros with the detector's pixels."""
    _, rtk = itk_and_rtk("RTK's images")
    (rows, columns), (pixel_v, pixel_u) = geometry.detector_shape, geometry.pixel_mm
    stack = rtk.ConstantImageSource[image_type()].New()
    stack.SetSize([columns, rows, geometry.num_views])
    stack.SetSpacing([pixel_u, pixel_v, 1.0])
    stack.SetOrigin([-(columns - 1) / 2 * pixel_u, -(rows - 1) / 2 * pixel_v, 0.0])
    return stack

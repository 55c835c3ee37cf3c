"""What a scan sees: the cylinder about z that its rays fill."""

from __future__ import annotations

import math

import numpy as np

from bundle.geometry import ConeBeamGeometry

__all__ = ["field_of_view_mm", "suggested_volume"]


def field_of_view_mm(geometry: ConeBeamGeometry) -> tuple[float, float]:
    """Radius and height of the cylinder about the isocentre that is seen at most.

    The radius is the distance from the axis of rotation of the outermost column's ray, on the detector's wider side,
    and the height is that of the detector scaled to the isocentre; both are medians over the views.

    Returns:
        (radius, height) in mm.
    """
    rows, columns = geometry.detector_shape
    half_u = columns * geometry.pixel_mm[1] / 2
    distances = []
    for side in (-half_u, half_u):
        edge = geometry.detector_centre_mm + side * geometry.u_axis
        ray = (edge - geometry.source_mm)[:, :2]
        source = geometry.source_mm[:, :2]
        cross = source[:, 0] * ray[:, 1] - source[:, 1] * ray[:, 0]
        distances.append(np.abs(cross) / np.linalg.norm(ray, axis=1))
    depth = np.abs(np.sum((geometry.detector_centre_mm - geometry.source_mm) * geometry.normal, axis=1))
    isocentre = np.abs(np.sum(geometry.source_mm * geometry.normal, axis=1))
    height = rows * geometry.pixel_mm[0] * np.median(isocentre / depth)
    return float(np.median(np.maximum(*distances))), float(height)


def suggested_volume(geometry: ConeBeamGeometry) -> tuple[tuple[int, int, int], float]:
    """A grid of cubes that covers the field of view, with about one voxel per pixel.

    Returns:
        (shape (x, y, z), voxel size in mm, rounded to two digits).
    """
    radius, height = field_of_view_mm(geometry)
    voxel = height / geometry.detector_shape[0] * min(1.0, geometry.pixel_mm[1] / geometry.pixel_mm[0])
    voxel = round(voxel, 1 - math.floor(math.log10(voxel)))
    across = math.ceil(2 * radius / voxel)
    return (across, across, math.ceil(height / voxel)), voxel

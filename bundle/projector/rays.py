"""A scan's rays in voxel indices, the form in which most backends take them."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from bundle.geometry import ConeBeamGeometry

__all__ = ["ScanRays"]


class ScanRays:
    """Sources and pixels in voxel indices (x, y, z); the ray of pixel (v, u) runs from the source through it.

    The pixel's position is ``first_pixel + v * step_v + u * step_u``.

    Args:
        geometry: the scan.

    Attributes:
        source: [views, 3].
        first_pixel: [views, 3] centre of pixel (0, 0).
        step_v: [views, 3] from row to row.
        step_u: [views, 3] from column to column.
        level: [views] whether columns run along z and rows across it, as on level gantries.
    """

    def __init__(self, geometry: ConeBeamGeometry) -> None:
        self.geometry = geometry
        to_index = np.linalg.inv(geometry.volume_affine)
        rotate, shift = to_index[:3, :3], to_index[:3, 3]
        rows, columns = geometry.detector_shape
        centre = geometry.detector_centre_mm @ rotate.T + shift
        self.step_v = geometry.v_axis @ rotate.T * geometry.pixel_mm[0]
        self.step_u = geometry.u_axis @ rotate.T * geometry.pixel_mm[1]
        self.source = geometry.source_mm @ rotate.T + shift
        self.first_pixel = centre - (rows - 1) / 2 * self.step_v - (columns - 1) / 2 * self.step_u
        tiny = 1e-9 * np.abs(self.step_v[:, 2])
        self.level = (np.abs(self.step_v[:, :2]).max(axis=1) <= tiny) & (np.abs(self.step_u[:, 2]) <= tiny)

    @cached_property
    def main_axes(self) -> list[int]:
        """The axes (0, 1 or 2) along which at least one ray crosses most voxels."""
        rows, columns = (np.arange(n) for n in self.geometry.detector_shape)
        found: set[int] = set()
        for source, first_pixel, step_v, step_u in zip(*self.vectors):
            direction = first_pixel - source + rows[:, None, None] * step_v + columns[:, None] * step_u
            found.update(np.unique(np.abs(direction).argmax(axis=-1)).tolist())
        return sorted(found)

    @property
    def vectors(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(source, first_pixel, step_v, step_u)."""
        return self.source, self.first_pixel, self.step_v, self.step_u

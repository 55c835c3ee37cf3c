"""Scans as MBIRJAX describes them.

MBIRJAX indexes volumes [row, column, slice] and sinograms [view, row, channel]. It turns a voxel at row position r and
column position c by the view's angle t to y = c sin t + r cos t and x = c cos t - r sin t, and sees it from a source at
y = source_iso_dist in channel x SDD / (SOD - y) (``ConeBeamModel.recon_ijk_to_xyz`` and ``geometry_xyz_to_uv_mag``).
With r our x, c our y and t our gantry angle these are the formulas of docs/geometry.md, so that no axis is mirrored or
swapped: volumes [x, y, z] are its [row, column, slice], and projections with rows "+z" its sinograms. Its offsets are
those of the object on the detector, ours those of the detector, so their signs differ.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bundle.errors import InputError
from bundle.geometry import ConeBeamGeometry

__all__ = ["mbirjax_scan", "mbirjax_sinogram"]

_TOLERANCE_MM = 1e-3


def mbirjax_scan(geometry: ConeBeamGeometry) -> dict[str, Any]:
    """The arguments and parameters of a ``mbirjax.ConeBeamModel``, in mm and plain values.

    Args:
        geometry: a circular orbit about the z axis, as :func:`bundle.geometry.circular` builds it.

    Returns:
        "model": what the constructor takes; "parameters": what ``set_params`` takes.

    Raises:
        InputError: when the orbit is not circular, or the volume's centre not on the axis.
    """
    if geometry.row_direction() == "-z":
        geometry = geometry.flip_rows()
    source = geometry.source_mm
    angles = np.arctan2(source[:, 1], source[:, 0])
    outward = np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], axis=1)
    u_axis = np.stack([-np.sin(angles), np.cos(angles), np.zeros_like(angles)], axis=1)
    v_axis = np.tile([0.0, 0.0, 1.0], (len(angles), 1))
    sod_mm = np.sum(source * outward, axis=1)
    sdd_mm = sod_mm - np.sum(geometry.detector_centre_mm * outward, axis=1)
    offset_u, offset_v = (np.sum(geometry.detector_centre_mm * axis, axis=1) for axis in (u_axis, v_axis))
    side = max(geometry.detector_shape) * max(geometry.pixel_mm)  # an axis' error shows at the detector's edge
    deviations = [side * (geometry.u_axis - u_axis), side * (geometry.v_axis - v_axis), source[:, 2]]
    deviations += [np.ptp(numbers) for numbers in (sod_mm, sdd_mm, offset_u, offset_v)]
    deviations.append(geometry.volume_centre_mm[:2])
    if max(float(np.abs(numbers).max()) for numbers in deviations) > _TOLERANCE_MM or sdd_mm[0] <= 0:
        raise InputError(
            "geometry",
            "is not a circular orbit about the z axis with the volume's centre on it.",
            "Compare with MBIRJAX on a scan that bundle.geometry.circular describes.",
        )
    x_mm, y_mm, z_mm = geometry.voxel_mm
    return {
        "model": {
            "sinogram_shape": [geometry.num_views, *geometry.detector_shape],
            "angles": angles.tolist(),
            "source_detector_dist": float(sdd_mm.mean()),
            "source_iso_dist": float(sod_mm.mean()),
        },
        "parameters": {
            "delta_det_row": geometry.pixel_mm[0],
            "delta_det_channel": geometry.pixel_mm[1],
            "det_row_offset": -float(offset_v.mean()),
            "det_channel_offset": -float(offset_u.mean()),
            "recon_shape": list(geometry.volume_shape),
            "delta_voxel": y_mm,
            "voxel_row_aspect": x_mm / y_mm,
            "voxel_slice_aspect": z_mm / y_mm,
            "recon_slice_offset": geometry.volume_centre_mm[2],
            "use_ror_mask": False,  # the whole box, not only the cylinder in it
        },
    }


def mbirjax_sinogram(projections: np.ndarray, geometry: ConeBeamGeometry) -> np.ndarray:
    """Projections [views, V, U] as a sinogram [view, row, channel], or back; rows that grow towards "-z" are turned."""
    return projections[:, ::-1] if geometry.row_direction() == "-z" else projections

"""Scans as RTK describes them, and back.

RTK turns about its y axis with the source at +z at gantry angle 0 and at +x at 90 degrees. Its (x, y, z) are our
(y, z, x), which is a rotation, so that nothing is mirrored. A view is nine numbers there; RTK finds them from the
vectors of :class:`bundle.geometry.ConeBeamGeometry`, and gives vectors back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bundle.errors import InputError
from bundle.fixed_tuples import pair
from bundle.geometry import ConeBeamGeometry
from bundle.rtk.toolkit import itk_and_rtk

__all__ = ["faces_source", "from_rtk", "from_rtk_vector", "to_rtk", "to_rtk_vector", "with_real_detector"]


def to_rtk_vector(vector: Any) -> np.ndarray:
    """Turns our (x, y, z), the last axis of an array, into RTK's."""
    return np.asarray(vector)[..., [1, 2, 0]]


def from_rtk_vector(vector: Any) -> np.ndarray:
    """Turns RTK's (x, y, z), the last axis of an array, into ours."""
    return np.asarray(vector)[..., [2, 0, 1]]


def faces_source(geometry: ConeBeamGeometry) -> bool:
    """Whether u x v points from the detector to the source, as in RTK; with rows along "-z" it points away.

    Raises:
        InputError: when views differ in it.
    """
    towards = np.sum((geometry.source_mm - geometry.detector_centre_mm) * geometry.normal, axis=1) > 0
    if towards.all() or not towards.any():
        return bool(towards[0])
    raise InputError(
        "geometry.v_axis", "runs upwards in some views and downwards in others.", "Flip those views' rows."
    )


def with_real_detector(geometry: ConeBeamGeometry) -> ConeBeamGeometry:
    """The same rays with the detector behind the whole volume, where RTK integrates up to.

    Moving the detector away from the source by a factor, and enlarging its pixels by the same, changes no ray.
    """
    source, centre = geometry.source_mm, geometry.detector_centre_mm
    half = np.linalg.norm(geometry.volume_size_mm) / 2
    reach = np.linalg.norm(source - np.array(geometry.volume_centre_mm), axis=1) + half
    distance = np.abs(np.sum((centre - source) * geometry.normal, axis=1))
    factor = max(1.0, float((reach / distance).max()))
    return replace(
        geometry,
        detector_centre_mm=source + factor * (centre - source),
        pixel_mm=pair(factor * pitch for pitch in geometry.pixel_mm),
    )


def to_rtk(geometry: ConeBeamGeometry) -> Any:
    """An rtk.ThreeDCircularProjectionGeometry.

    The detector's centre becomes the origin of the projection coordinates: the stack's first pixel is at
    -(n - 1) / 2 pixels along both axes (see :func:`bundle.rtk.images.projections_to_itk`).

    Raises:
        InputError: when the detector's rows run away from RTK's (flip them first), or RTK cannot describe a view.
        ImportError: when itk-rtk is missing.
    """
    _, rtk = itk_and_rtk("RTK's geometry")
    if not faces_source(geometry):
        raise InputError(
            "geometry.v_axis",
            "makes u x v point away from the source, which RTK has no description for.",
            "Flip the rows first: geometry.flip_rows() and projections[:, ::-1].",
        )
    scan = rtk.ThreeDCircularProjectionGeometry.New()
    vectors = (geometry.source_mm, geometry.detector_centre_mm, geometry.u_axis, geometry.v_axis)
    for view, parts in enumerate(zip(*(to_rtk_vector(v) for v in vectors))):
        if not scan.AddProjection(*([float(c) for c in part] for part in parts)):
            raise InputError("geometry", f"has a view {view} that RTK cannot describe.", "Check its vectors.")
    return scan


def from_rtk(
    scan: Any,
    detector_shape: Sequence[int],
    pixel_mm: Sequence[float],
    volume_shape: Sequence[int],
    voxel_mm: Sequence[float],
    first_pixel_mm: Sequence[float] | None = None,
    volume_centre_mm: Sequence[float] = (0.0, 0.0, 0.0),
    source: object = "RTK geometry",
) -> ConeBeamGeometry:
    """A geometry from RTK's.

    Args:
        scan: rtk.ThreeDCircularProjectionGeometry.
        detector_shape: (rows, columns) of the projections.
        pixel_mm: pixel pitch (v, u).
        volume_shape: voxels (x, y, z) of the volume to reconstruct.
        voxel_mm: voxel size (x, y, z).
        first_pixel_mm: (v, u) of pixel (0, 0) in RTK's projection coordinates, the origin of the stack there; that of
            a stack centred on its coordinates' origin if None.
        volume_centre_mm: centre of the volume.
        source: what to name in messages.

    Raises:
        InputError: when the detector is curved, rays are parallel, or the numbers make no scan.
    """
    itk, _ = itk_and_rtk("RTK's geometry")
    distances = np.array(list(scan.GetSourceToDetectorDistances()))
    if len(distances) == 0:
        raise InputError(source, "describes no projection.", "Give the geometry of at least one view.")
    if scan.GetRadiusCylindricalDetector() != 0:
        raise InputError(
            source,
            f"describes a curved detector of radius {scan.GetRadiusCylindricalDetector():g} mm.",
            "Resample the projections to a flat detector first.",
        )
    if (distances == 0).any():
        raise InputError(source, "describes parallel rays.", "Give a cone-beam geometry.")
    if first_pixel_mm is None:
        first_pixel_mm = [-(n - 1) / 2 * pitch for n, pitch in zip(detector_shape, pixel_mm)]
    middle_v, middle_u = (
        first + (n - 1) / 2 * pitch for first, n, pitch in zip(first_pixel_mm, detector_shape, pixel_mm)
    )
    to_world = np.stack(
        [itk.array_from_matrix(scan.GetProjectionCoordinatesToFixedSystemMatrix(i)) for i in range(len(distances))]
    )
    sources = np.stack([list(scan.GetSourcePosition(i))[:3] for i in range(len(distances))])
    source_mm = from_rtk_vector(sources)
    return ConeBeamGeometry(
        source_mm=source_mm,
        detector_centre_mm=from_rtk_vector((to_world @ [middle_u, middle_v, 0.0, 1.0])[:, :3]),
        u_axis=from_rtk_vector(to_world[:, :3, 0]),
        v_axis=from_rtk_vector(to_world[:, :3, 1]),
        detector_shape=detector_shape,  # type: ignore[arg-type]
        pixel_mm=pixel_mm,  # type: ignore[arg-type]
        volume_shape=volume_shape,  # type: ignore[arg-type]
        voxel_mm=voxel_mm,  # type: ignore[arg-type]
        volume_centre_mm=volume_centre_mm,  # type: ignore[arg-type]
        angles_rad=np.arctan2(source_mm[:, 1], source_mm[:, 0]),
    )

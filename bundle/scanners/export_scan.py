"""From a projection file to what RTK's tools read."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from bundle.atomic import atomic_path, check_output
from bundle.data.projection_file import ProjectionSet
from bundle.errors import InputError
from bundle.physics.attenuation import normalised_to_attenuation
from bundle.rtk.geometry import faces_source
from bundle.rtk.images import projections_to_itk
from bundle.rtk.toolkit import itk_and_rtk
from bundle.scanners.geometry_json import write_geometry_json
from bundle.scanners.geometry_rtk import write_geometry_rtk

__all__ = ["as_attenuation", "export_scan"]

_GEOMETRIES = (".xml", ".json")


def export_scan(
    data: ProjectionSet,
    geometry: str | os.PathLike,
    projections: str | os.PathLike | None = None,
    overwrite: bool = False,
) -> ProjectionSet:
    """Writes a scan's geometry, and its line integrals as a stack that goes with it. Needs itk-rtk but for JSON alone.

    RTK's geometry has no rows that run downwards ("-z"), so with XML those are turned round in both files. Neither
    file holds mu_water_per_mm or world_to_patient, and XML not the volume either.

    Args:
        data: the scan.
        geometry: file to write: RTK's XML (.xml) or this package's JSON (.json).
        projections: MetaImage (.mha) to write: attenuation, its origin the position of the first pixel in RTK's
            projection coordinates.
        overwrite: replace existing files.

    Returns:
        The scan as written: attenuation, with rows as in the files.

    Raises:
        InputError: when a file exists or its name has another suffix, RTK cannot describe the geometry, or
            normalised projections do not start at air.
        ImportError: when itk-rtk is missing.
    """
    geometry = check_output(geometry, overwrite, _GEOMETRIES)
    if projections is not None:
        projections = check_output(projections, overwrite, (".mha",))
    data = as_attenuation(data)
    as_rtk = geometry.suffix.lower() == ".xml"
    if as_rtk and not faces_source(data.geometry):
        data = replace(
            data, geometry=data.geometry.flip_rows(), projections=np.ascontiguousarray(data.projections[:, ::-1])
        )
    if as_rtk:
        write_geometry_rtk(data.geometry, geometry)
    else:
        write_geometry_json(data.geometry, geometry)
    if projections is not None:
        _write_stack(data, Path(projections))
    return data


def as_attenuation(data: ProjectionSet) -> ProjectionSet:
    """The same scan as attenuation.

    Raises:
        InputError: when normalised projections were made with a window that does not start at air.
    """
    if data.quantity == "attenuation":
        return data
    if data.hu_window[0] != -1000.0:
        raise InputError(
            "hu_window", f"starts at {data.hu_window[0]:g} HU, not at air.", "Simulate with a window from -1000 HU."
        )
    values = normalised_to_attenuation(data.projections, data.hu_window, data.mu_water_per_mm)
    return replace(data, projections=np.asarray(values, dtype=np.float32), quantity="attenuation")


def _write_stack(data: ProjectionSet, path: Path) -> None:
    itk, _ = itk_and_rtk("writing projections")
    stack = projections_to_itk(data.projections, data.geometry)
    with atomic_path(path) as temporary:
        itk.imwrite(stack, str(temporary), compression=True)

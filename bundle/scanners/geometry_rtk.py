"""Scan geometries in RTK's XML files.

Every view has nine parameters and the 3 x 4 matrix that follows from them; parameters that all views share may stand
before the views. RTK compares matrices and parameters itself, but takes a cut file for a shorter scan and text for a
number where it begins like one, so the file's form is checked here first
(https://github.com/RTKConsortium/RTK: src/rtkThreeDCircularProjectionGeometryXMLFileReader.cxx).
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from bundle.atomic import atomic_path, check_output
from bundle.errors import InputError, naming
from bundle.fixed_tuples import pair, triple
from bundle.geometry import ConeBeamGeometry
from bundle.plausible import check_millimetres
from bundle.rtk.geometry import from_rtk, to_rtk
from bundle.rtk.toolkit import itk_and_rtk
from bundle.scanners.units import millimetres_per_unit
from bundle.scanners.xml_elements import element_name, element_number, parse_xml

__all__ = ["RTK_ROOT", "check_lengths", "read_geometry_rtk", "write_geometry_rtk"]

RTK_ROOT = "RTKThreeDCircularGeometry"
"""Name of the root element."""

_PARAMETERS = (
    "SourceToIsocenterDistance",
    "SourceToDetectorDistance",
    "GantryAngle",
    "ProjectionOffsetX",
    "ProjectionOffsetY",
    "SourceOffsetX",
    "SourceOffsetY",
    "InPlaneAngle",
    "OutOfPlaneAngle",
)
_OLD_NAMES = ("Angle",)  # GantryAngle of early versions
_RADIUS = "RadiusCylindricalDetector"
_COLLIMATION = ("CollimationUInf", "CollimationUSup", "CollimationVInf", "CollimationVSup")
_NO_COLLIMATION = ("1.79769313486232e+308", "1.7976931348623157e+308")  # the largest number, as RTK writes it
_PURPOSE = "reading RTK's geometry files"


def read_geometry_rtk(
    path: str | os.PathLike,
    detector_shape: Sequence[int],
    pixel_mm: Sequence[float],
    volume_shape: Sequence[int],
    voxel_mm: Sequence[float],
    first_pixel_mm: Sequence[float] | None = None,
    volume_centre_mm: Sequence[float] = (0.0, 0.0, 0.0),
    unit: str | float = "mm",
) -> ConeBeamGeometry:
    """Reads a geometry that RTK or one of its tools wrote. Needs itk-rtk.

    The file knows neither the detector's pixels nor the volume, so both are given here, in mm.

    Args:
        path: the XML file.
        detector_shape: (rows, columns) of the projections.
        pixel_mm: pixel pitch (v, u).
        volume_shape: voxels (x, y, z) of the volume to reconstruct, along this package's axes.
        voxel_mm: voxel size (x, y, z).
        first_pixel_mm: (v, u) of pixel (0, 0) in RTK's projection coordinates, which is the origin of the stack of
            projections there; that of a stack centred on its coordinates' origin if None.
        volume_centre_mm: centre of the volume.
        unit: unit of all lengths in the file: "mm", "cm", "m", or the number of millimetres in one unit.

    Returns:
        The geometry, with the file's views in the file's order.

    Raises:
        InputError: naming file and view, when the file is missing, damaged or of another kind, describes no view, a
            curved detector, parallel rays or a collimator, or a view's matrix does not follow from its parameters; when
            lengths are hardly in the given unit.
        ImportError: when itk-rtk is missing.
    """
    path = Path(path)
    millimetres = millimetres_per_unit(unit)
    views = _check_form(path, parse_xml(path))
    scan = _read(path, views)
    if len(list(scan.GetGantryAngles())) != views:
        raise InputError(path, f"has {views} views, of which RTK read another number.", "Write it again with RTK.")
    if not any(scan.GetSourceToDetectorDistances()):
        raise InputError(path, "describes parallel rays.", "Give a cone-beam geometry.")
    check_lengths(path, scan, pixel_mm, voxel_mm, millimetres)
    with naming(path):
        geometry = from_rtk(
            scan,
            detector_shape,
            [pitch / millimetres for pitch in pixel_mm],
            volume_shape,
            [size / millimetres for size in voxel_mm],
            None if first_pixel_mm is None else [first / millimetres for first in first_pixel_mm],
            [centre / millimetres for centre in volume_centre_mm],
            source=path,
        )
        return replace(
            geometry,
            source_mm=millimetres * geometry.source_mm,
            detector_centre_mm=millimetres * geometry.detector_centre_mm,
            pixel_mm=pair(pixel_mm),
            voxel_mm=triple(voxel_mm),
            volume_centre_mm=triple(volume_centre_mm),
        )


def write_geometry_rtk(geometry: ConeBeamGeometry, path: str | os.PathLike) -> None:
    """Writes a geometry as RTK's XML, complete or not at all. Needs itk-rtk.

    The detector's centre becomes the origin of RTK's projection coordinates, so a stack of projections that goes with
    the file has its first pixel at -(n - 1) / 2 pixels along both axes. The volume is not part of the file.

    Args:
        geometry: the scan.
        path: file to write or replace; its name ends in .xml.

    Raises:
        InputError: when the rows run away from RTK's, a view cannot be described, the name has another suffix, or the
            file cannot be written.
        ImportError: when itk-rtk is missing.
    """
    path = check_output(path, overwrite=True, suffixes=(".xml",))
    scan = to_rtk(geometry)
    _, rtk = itk_and_rtk("writing RTK's geometry files")
    with atomic_path(path) as temporary:
        rtk.write_geometry(scan, str(temporary))


def check_lengths(
    path: Path, scan: Any, pixel_mm: Sequence[float], voxel_mm: Sequence[float], millimetres: float = 1.0
) -> None:
    """Refuses distances that are hardly in millimetres, or in another unit than pixels and voxels.

    Args:
        path: file to name.
        scan: rtk.ThreeDCircularProjectionGeometry.
        pixel_mm: pixel pitch (v, u).
        voxel_mm: voxel size (x, y, z).
        millimetres: in one of the file's units.

    Raises:
        InputError: with the values found.
    """
    sod_mm, sdd_mm = (
        millimetres * np.array(list(values))
        for values in (scan.GetSourceToIsocenterDistances(), scan.GetSourceToDetectorDistances())
    )
    check_millimetres(path, sod_mm, sdd_mm, pixel_mm, voxel_mm, names=(*_PARAMETERS[:2], "pixel_mm", "voxel_mm"))


def _check_form(path: Path, root: ElementTree.Element) -> int:
    """Number of views of a file whose elements are all known and hold what they should."""
    if element_name(root) != RTK_ROOT:
        raise InputError(
            path, f"is no RTK geometry: its root is {element_name(root)}.", f"Give a file with the root {RTK_ROOT}."
        )
    views = 0
    _check_once(path, [element_name(part) for part in root if element_name(part) != "Projection"], " before the views")
    for element in root:
        if element_name(element) == "Projection":
            where = f" in view {views}"
            views += 1
            names = [element_name(part) for part in element]
            for part in element:
                _check_element(path, part, where)
            _check_once(path, names, where)
            if "Matrix" not in names:
                raise InputError(path, f"has no Matrix{where}.", "Write it again with RTK.")
        else:
            _check_element(path, element, "")
    if not views:
        raise InputError(path, "describes no projection.", "Give the geometry of at least one view.")
    return views


def _check_once(path: Path, names: list[str], where: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(path, f"gives {', '.join(twice)} more than once{where}.", "Keep one of them.")


def _check_element(path: Path, element: ElementTree.Element, where: str) -> None:
    name = element_name(element)
    if name == "Matrix":
        numbers = (element.text or "").split()
        try:
            finite = all(math.isfinite(float(number)) for number in numbers)
        except ValueError:
            finite = False
        if len(numbers) != 12 or not finite:
            raise InputError(path, f"has a Matrix of {len(numbers)} entries{where}.", "Give 3 x 4 finite numbers.")
    elif name in _COLLIMATION:
        if (element.text or "").strip() not in _NO_COLLIMATION:
            raise InputError(
                path,
                f"has a collimator ({name}{where}), whose shadow is not left out here.",
                f"Crop the projections to the open field, and take {', '.join(_COLLIMATION)} out.",
            )
    elif name in (*_PARAMETERS, *_OLD_NAMES, _RADIUS):
        element_number(path, element, where)
    else:
        raise InputError(path, f"has the unknown element {name}{where}.", "Take it out, or write the file with RTK.")


def _read(path: Path, views: int) -> Any:
    """RTK's geometry; its refusals become messages that name the view."""
    _, rtk = itk_and_rtk(_PURPOSE)
    reader = rtk.ThreeDCircularProjectionGeometryXMLFileReader.New()
    reader.SetFilename(str(path))
    try:
        reader.GenerateOutputInformation()
    except RuntimeError as error:
        # RTK adds a view before it compares the matrix.
        done = len(list(reader.GetOutputObject().GetGantryAngles()))
        if "not consistent" in str(error):
            raise InputError(
                path,
                f"has a Matrix in view {done - 1} of {views} that does not follow from the view's parameters.",
                "Correct the parameters that were edited, or write the file again with RTK from them.",
            ) from error
        reason = " ".join(str(error).split("ERROR:")[-1].split())
        raise InputError(path, f"cannot be read by RTK ({reason}).", "Write it again with RTK.") from error
    return reader.GetOutputObject()

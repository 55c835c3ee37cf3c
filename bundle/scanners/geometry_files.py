"""One reader for all files of scan geometries.

:data:`KINDS` is the table: which file is of which kind, what it leaves open, and which reader reads it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bundle.errors import InputError, naming
from bundle.geometry import ConeBeamGeometry
from bundle.plausible import check_scan
from bundle.scanners.geometry_json import read_geometry_json
from bundle.scanners.geometry_rtk import RTK_ROOT, read_geometry_rtk
from bundle.scanners.geometry_vendor import VENDORS, read_geometry_vendor, vendor_of_xml
from bundle.scanners.geometry_yaml import read_geometry_yaml
from bundle.scanners.xml_elements import element_name, parse_xml

__all__ = ["KINDS", "PIXEL_TOLERANCE", "GeometryKind", "geometry_kind", "read_geometry"]

PIXEL_TOLERANCE = 0.01
"""Part by which two statements of a pixel's size may differ: headers round."""


@dataclass(frozen=True)
class GeometryKind:
    """How one kind of file is read.

    Args:
        title: the kind, for messages.
        endings: of the file's name.
        complete: whether the file describes the detector's pixels and the volume, too.
        options: names of the reader's own options.
        read: the reader. Called with the path and the options, and for an incomplete file with detector_shape,
            pixel_mm, volume_shape, voxel_mm, first_pixel_mm and volume_centre_mm.
        needs_projections: whether the reader takes the angles from the files of the projections.
    """

    title: str
    endings: tuple[str, ...]
    complete: bool
    options: tuple[str, ...]
    read: Callable[..., ConeBeamGeometry]
    needs_projections: bool = False


def _vendor(name: str, title: str, endings: tuple[str, ...], options: tuple[str, ...] = ()) -> GeometryKind:
    reader = partial(read_geometry_vendor, vendor=name)
    return GeometryKind(title, endings, False, options, reader, needs_projections=name.startswith("varian"))


_YAML_OPTIONS = ("angles_rad", "row_direction", "dialect", "unit", "detector_order", "detector_offset_mm", "ignore")

KINDS: dict[str, GeometryKind] = {
    "json": GeometryKind("this package's JSON", (".json",), True, (), read_geometry_json),
    "yaml": GeometryKind("YAML of TIGRE's family", (".yaml", ".yml"), True, _YAML_OPTIONS, read_geometry_yaml),
    "rtk": GeometryKind("RTK's XML", (".xml",), False, ("unit",), read_geometry_rtk),
    "varian-obi": _vendor("varian-obi", "Varian OBI's ProjectionInfo.xml", (".xml",)),
    "varian-probeam": _vendor("varian-probeam", "Varian TrueBeam's and ProBeam's Scan.xml", (".xml",)),
    "elekta-xvi": _vendor("elekta-xvi", "Elekta XVI's _Frames.xml", (".xml",)),
    "elekta-synergy": _vendor("elekta-synergy", "Elekta Synergy's FRAME.DBF", (".dbf",), ("dicom_uid",)),
}
"""Every kind of file that can be read, by name."""


def geometry_kind(path: str | os.PathLike) -> str:
    """The kind of a file, one of :data:`KINDS`, by the ending of its name and, for XML, by its elements.

    Raises:
        InputError: when the file is missing or of no kind that can be read.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "does not exist, or is no file.", "Check the path.")
    ending = path.suffix.lower()
    if ending == ".xml":
        root = parse_xml(path)
        kind = "rtk" if element_name(root) == RTK_ROOT else vendor_of_xml(root)
        if kind is None:
            titles = ", ".join(KINDS[name].title for name in ("rtk", *VENDORS[:3]))
            raise InputError(path, "is XML of an unknown kind.", f"Give {titles}.")
        return kind
    for name, known in KINDS.items():
        if ending in known.endings:
            return name
    endings = dict.fromkeys(ending for kind in KINDS.values() for ending in kind.endings)
    raise InputError(path, "is no geometry file that can be read.", f"Its name should end in {', '.join(endings)}.")


def read_geometry(
    path: str | os.PathLike,
    detector_shape: Sequence[int] | None = None,
    pixel_mm: Sequence[float] | None = None,
    volume_shape: Sequence[int] | None = None,
    voxel_mm: Sequence[float] | None = None,
    first_pixel_mm: Sequence[float] | None = None,
    volume_centre_mm: Sequence[float] | None = None,
    projections: str | os.PathLike | Iterable[str | os.PathLike] | None = None,
    **options: Any,
) -> ConeBeamGeometry:
    """Reads a scan's geometry from a file of any kind in :data:`KINDS`.

    JSON and YAML describe the detector's pixels and the volume; what is given beside them is compared with the
    detector's, and replaces the volume's. RTK's and scanners' files describe neither.

    Args:
        path: the file.
        detector_shape: (rows, columns) of the projections.
        pixel_mm: pixel pitch (v, u).
        volume_shape: voxels (x, y, z) of the volume to reconstruct.
        voxel_mm: voxel size (x, y, z).
        first_pixel_mm: (v, u) of pixel (0, 0) in RTK's projection coordinates; a centred array if None.
        volume_centre_mm: centre of the volume; the file's, or the isocentre, if None.
        projections: files or folder of the projections, which Varian keeps angles in.
        options: those of the kind's reader, such as row_direction for YAML.

    Raises:
        InputError: when the file is missing, damaged or of no kind that can be read, an option belongs to another
            kind, lengths or positions are no scanner's, the detector is another than the file's, or the file leaves
            open what is not given.
        ImportError: when the package that reads it is missing.
    """
    path = Path(path)
    name = geometry_kind(path)
    kind = KINDS[name]
    unknown = sorted(set(options) - set(kind.options))
    if unknown:
        remedy = f"It has {', '.join(kind.options)}." if kind.options else "It has none."
        raise InputError(path, f"is {kind.title}, whose reader has no option {', '.join(unknown)}.", remedy)
    if (volume_shape is None) != (voxel_mm is None):
        raise InputError("volume_shape and voxel_mm", "are not both given.", "Give both, or neither.")
    if kind.complete:
        geometry = kind.read(path, **options)
        _check_detector(path, geometry, detector_shape, pixel_mm, first_pixel_mm)
        volume: dict[str, Any]
        volume = {"volume_shape": volume_shape, "voxel_mm": voxel_mm, "volume_centre_mm": volume_centre_mm}
        with naming(path):
            geometry = replace(geometry, **{key: value for key, value in volume.items() if value is not None})
        check_scan(path, geometry)
        return geometry
    needed = {"detector_shape": detector_shape, "pixel_mm": pixel_mm, "volume_shape": volume_shape}
    missing = [key for key, value in needed.items() if value is None]
    if missing:
        raise InputError(path, f"is {kind.title}, which does not say {', '.join(missing)}.", "Give them beside it.")
    if kind.needs_projections:
        options["projections"] = projections
    geometry = kind.read(
        path,
        detector_shape=detector_shape,
        pixel_mm=pixel_mm,
        volume_shape=volume_shape,
        voxel_mm=voxel_mm,
        first_pixel_mm=first_pixel_mm,
        volume_centre_mm=(0.0, 0.0, 0.0) if volume_centre_mm is None else volume_centre_mm,
        **options,
    )
    check_scan(path, geometry)
    return geometry


def _check_detector(
    path: Path,
    geometry: ConeBeamGeometry,
    shape: Sequence[int] | None,
    pixel_mm: Sequence[float] | None,
    first_pixel_mm: Sequence[float] | None,
) -> None:
    if first_pixel_mm is not None:
        raise InputError(
            "first_pixel_mm", f"is given, but {path.name} says where the detector is.", "Leave it out, or correct that."
        )
    if shape is not None and tuple(shape) != geometry.detector_shape:
        raise InputError(
            path,
            f"describes a detector of {geometry.detector_shape} pixels (v, u) where the images have {tuple(shape)}.",
            "Exchange rows and columns in one of them."
            if tuple(shape) == geometry.detector_shape[::-1]
            else "Give the geometry of these images; cropped or binned ones need their own.",
        )
    if pixel_mm is not None and not np.allclose(pixel_mm, geometry.pixel_mm, rtol=PIXEL_TOLERANCE, atol=0):
        raise InputError(
            path,
            f"has pixels of {geometry.pixel_mm} mm (v, u) where the images have {tuple(pixel_mm)}.",
            "Correct the one that is wrong.",
        )

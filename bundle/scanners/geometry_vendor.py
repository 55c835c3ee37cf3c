"""Scan geometries in the files of Varian's and Elekta's scanners, through RTK's readers.

| kind | geometry file | angle of each view | shift of the detector |
|---|---|---|---|
| varian-obi | ProjectionInfo.xml | dCTProjectionAngle of each .hnd, .hnc | CalibratedDetectorOffsetX, Y, see below |
| varian-probeam | Scan.xml | 180 degrees - KVSourceRtn of each .xim | KVDetectorLat, KVDetectorLng of each .xim (cm) |
| elekta-xvi | _Frames.xml | GantryAngle of each Frame | -UCentre, -VCentre of each Frame |
| elekta-synergy | FRAME.DBF, IMAGE.DBF | PROJ_ANG of each row | -U_CENTRE, -V_CENTRE of each row |

With varian-obi, DetectorPosLat is added to the shift along u where FanType is HalfFan. Distances are CalibratedSAD
and CalibratedSID, or SAD and SID, with Varian; Elekta's files have none, and RTK takes 1000 and 1536 mm. Sources:
https://github.com/RTKConsortium/RTK, src/rtk*GeometryReader.cxx and src/rtkElektaXVI5GeometryXMLFileReader.cxx. An
entry that is missing RTK takes from the view before, or as an undefined number, so that everything it reads is looked
for here first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from bundle.errors import InputError, naming
from bundle.geometry import ConeBeamGeometry
from bundle.rtk.geometry import from_rtk
from bundle.rtk.toolkit import itk_and_rtk
from bundle.scanners.dbase import check_dbase
from bundle.scanners.geometry_rtk import check_lengths
from bundle.scanners.image_headers import read_header
from bundle.scanners.projection_images import list_projection_files
from bundle.scanners.varian_headers import xim_entries
from bundle.scanners.xml_elements import element_name, element_number, parse_xml

__all__ = ["VENDORS", "read_geometry_vendor", "vendor_of_xml"]

VENDORS = ("varian-obi", "varian-probeam", "elekta-xvi", "elekta-synergy")
"""Kinds of files that can be read."""

_OBI_NUMBERS = ("CalibratedSAD", "CalibratedSID", "CalibratedDetectorOffsetX", "CalibratedDetectorOffsetY")
_PROBEAM_NUMBERS = ("SAD", "SID")
_XIM_ENTRIES = ("KVSourceRtn", "KVDetectorLat", "KVDetectorLng")
_FRAME_NUMBERS = (  # names that anonymised files have been seen with
    ("GantryAngle", "Angle", "antryAngle", "Gantryngle"),
    ("UCentre", "Uentre"),
    ("VCentre", "Ventre"),
)
_PURPOSE = "reading scanners' geometry files"


def read_geometry_vendor(
    path: str | os.PathLike,
    vendor: str,
    detector_shape: Sequence[int],
    pixel_mm: Sequence[float],
    volume_shape: Sequence[int],
    voxel_mm: Sequence[float],
    projections: str | os.PathLike | Iterable[str | os.PathLike] | None = None,
    dicom_uid: str | None = None,
    first_pixel_mm: Sequence[float] | None = None,
    volume_centre_mm: Sequence[float] = (0.0, 0.0, 0.0),
) -> ConeBeamGeometry:
    """Reads the geometry of a Varian or an Elekta scan. Needs itk-rtk.

    Args:
        path: the geometry file; FRAME.DBF, with IMAGE.DBF beside it, for elekta-synergy.
        vendor: one of :data:`VENDORS`.
        detector_shape: (rows, columns) of the projections.
        pixel_mm: pixel pitch (v, u).
        volume_shape: voxels (x, y, z) of the volume to reconstruct.
        voxel_mm: voxel size (x, y, z).
        projections: files or folder of the projections, which Varian keeps angles in.
        dicom_uid: the acquisition in an elekta-synergy data base, its DICOM_UID.
        first_pixel_mm: (v, u) of pixel (0, 0) from the centre that the shifts are measured at; that of a centred array
            if None, as RTK assumes for all of these scanners.
        volume_centre_mm: centre of the volume.

    Returns:
        The geometry: views in the order of the projections for Varian, and of the geometry file for Elekta.

    Raises:
        InputError: naming file and entry, when a file is missing, damaged or of another kind, or lacks an entry, when
            lengths are hardly in mm, or an argument that the kind needs is missing.
        ImportError: when itk-rtk is missing.
    """
    if vendor not in VENDORS:
        raise InputError("vendor", f"is {vendor!r}.", f"Use one of {', '.join(VENDORS)}.")
    path = Path(path)
    if vendor == "elekta-synergy":
        scan = _read_synergy(path, dicom_uid)
    elif vendor == "elekta-xvi":
        scan = _read_xvi(path)
    else:
        scan = _read_varian(path, vendor, projections)
    try:
        check_lengths(path, scan, pixel_mm, voxel_mm)
    except InputError as error:
        raise InputError(path, error.problem, "Scanners write mm: check the file, pixel_mm and voxel_mm.") from error
    with naming(path):
        return from_rtk(
            scan, detector_shape, pixel_mm, volume_shape, voxel_mm, first_pixel_mm, volume_centre_mm, source=path
        )


def vendor_of_xml(root: ElementTree.Element) -> str | None:
    """The kind of an XML file by the elements that only it has; None if it has none of them."""
    names = {element_name(element) for element in root.iter()}
    kinds = {
        "varian-obi": "CalibratedSAD" in names,
        "varian-probeam": {"SAD", "SID"} <= names,
        "elekta-xvi": "Frame" in names and not names.isdisjoint(_FRAME_NUMBERS[1]),
    }
    found = [kind for kind, matches in kinds.items() if matches]
    return found[0] if len(found) == 1 else None


def _read_varian(path: Path, vendor: str, projections: Any) -> Any:
    root = parse_xml(path)
    if projections is None:
        raise InputError("projections", "is missing.", f"Name the images: {vendor} keeps the angles in them.")
    images, files = list_projection_files(projections)
    for file in files:
        read_header(images, file)
    _, rtk = itk_and_rtk(_PURPOSE)
    if vendor == "varian-obi":
        _numbers(path, root, _OBI_NUMBERS)
        fan = (_only(path, root, ("FanType",)).text or "").strip()
        if fan.lower() not in ("halffan", "fullfan"):
            raise InputError(path, f"has FanType = {fan!r}.", "Expected HalfFan or FullFan.")
        if fan.lower() == "halffan":
            _numbers(path, root, ("DetectorPosLat",))
        _expect(vendor, images, ("hnd", "hnc"))
        reader = rtk.VarianObiGeometryReader.New()
    else:
        _numbers(path, root, _PROBEAM_NUMBERS)
        _expect(vendor, images, ("xim",))
        for file in files:
            missing = [name for name in _XIM_ENTRIES if name not in xim_entries(file)]
            if missing:
                raise InputError(file, f"lacks {', '.join(missing)}.", "Export it with its properties.")
        reader = rtk.VarianProBeamGeometryReader.New()
    reader.SetXMLFileName(str(path))
    reader.SetProjectionsFileNames([str(file) for file in files])
    return _generate(path, reader.UpdateOutputData, reader)


def _read_xvi(path: Path) -> Any:
    root = parse_xml(path)
    frames = [element for element in root.iter() if element_name(element) == "Frame"]
    if not frames:
        raise InputError(path, "describes no Frame.", "Give XVI's _Frames.xml.")
    for number, frame in enumerate(frames):
        for names in _FRAME_NUMBERS:
            element_number(path, _only(path, frame, names, f" in Frame {number}"), f" in Frame {number}")
    _, rtk = itk_and_rtk(_PURPOSE)
    reader = rtk.ElektaXVI5GeometryXMLFileReader.New()
    reader.SetFilename(str(path))
    return _generate(path, reader.GenerateOutputInformation, reader)


def _read_synergy(path: Path, dicom_uid: str | None) -> Any:
    if not dicom_uid:
        raise InputError("dicom_uid", "is missing.", "Give the acquisition's DICOM_UID in IMAGE.DBF.")
    beside = [file for file in sorted(path.parent.glob("*")) if file.name.upper() == "IMAGE.DBF"]
    if not beside:
        raise InputError(path.parent, "has no IMAGE.DBF.", f"Put it beside {path.name}.")
    check_dbase(path, ("IMA_DBID", "PROJ_ANG", "U_CENTRE", "V_CENTRE"))
    check_dbase(beside[0], ("DBID", "DICOM_UID"))
    _, rtk = itk_and_rtk(_PURPOSE)
    reader = rtk.ElektaSynergyGeometryReader.New()
    reader.SetDicomUID(str(dicom_uid))
    reader.SetImageDbfFileName(str(beside[0]))
    reader.SetFrameDbfFileName(str(path))
    return _generate(path, reader.UpdateOutputData, reader)


def _generate(path: Path, update: Callable[[], None], reader: Any) -> Any:
    try:
        update()
    except RuntimeError as error:
        reason = " ".join(str(error).split("ERROR:")[-1].split())
        raise InputError(path, f"cannot be read by RTK ({reason}).", "Copy it again from the scanner.") from error
    scan = reader.GetGeometry()
    if not len(list(scan.GetGantryAngles())):
        raise InputError(path, "describes no projection.", "Give the geometry of at least one view.")
    return scan


def _numbers(path: Path, root: ElementTree.Element, names: Sequence[str]) -> None:
    for name in names:
        element_number(path, _only(path, root, (name,)))


def _only(path: Path, root: ElementTree.Element, names: Sequence[str], where: str = "") -> ElementTree.Element:
    """The one element of any of the names."""
    found = [element for element in root.iter() if element_name(element) in names]
    if len(found) != 1:
        raise InputError(path, f"has {names[0]} {len(found)} times{where}.", "Expected it once.")
    return found[0]


def _expect(vendor: str, kind: str, kinds: Sequence[str]) -> None:
    if kind not in kinds:
        raise InputError("projections", f"are {kind} images.", f"{vendor} goes with {' or '.join(kinds)}.")

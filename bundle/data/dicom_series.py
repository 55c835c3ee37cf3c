"""One CT series from a folder of DICOM slices."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bundle.data.ct_formats import CT_SUFFIXES, LPS_TO_RAS
from bundle.data.slice_stack import SliceStack
from bundle.errors import InputError
from bundle.optional import require

__all__ = ["NOT_DICOM", "dicom_files", "is_dicom", "patient_digest", "read_dicom_series"]

_TAGS = [
    "BitsAllocated",
    "Columns",
    "FrameOfReferenceUID",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "ImageType",
    "Modality",
    "NumberOfFrames",
    "PatientID",
    "PhotometricInterpretation",
    "PixelData",
    "PixelSpacing",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "Rows",
    "SamplesPerPixel",
    "SeriesInstanceUID",
]
_ONE_OF_A_SERIES = ("SeriesInstanceUID", "PatientID", "FrameOfReferenceUID")
_DEFERRED_BYTES = 1024  # pixels are not read with the header, but their length is
_WITHOUT_PREAMBLE = (b"\x02\x00\x00\x00", b"\x08\x00\x00\x00", b"\x08\x00\x05\x00", b"\x08\x00\x08\x00")
_UNCOMPRESSED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")  # transfer syntaxes
_MOST_SCALING = 1e5
NOT_DICOM = (*CT_SUFFIXES, ".raw", ".zraw", ".json", ".csv", ".txt", ".zip")
"""Suffixes of files that are something else."""
_SAME_POSITION_MM = 0.01
_UNEVEN = 0.05  # of the distance of slices; scanners round positions to a hundredth of it


@dataclass(frozen=True)
class _Slice:
    path: Path
    position_mm: np.ndarray  # [3] LPS, centre of the first voxel
    directions: np.ndarray  # [2, 3] LPS, unit vectors along i and j
    spacing_mm: tuple[float, float]  # along i and j
    shape: tuple[int, int]  # (i, j)


def dicom_files(folder: Path) -> list[Path]:
    """The DICOM files of a folder, by their suffix or the mark in their header, sorted by name."""
    return [path for path in sorted(folder.iterdir()) if is_dicom(path)]


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its suffix .dcm, its mark or its first tag, and not the index of a disc.

    One that cannot be opened counts, so that a series is never read without a slice of it.
    """
    name = path.name.lower()
    if name.startswith(".") or name == "dicomdir" or name.endswith(NOT_DICOM):
        return False
    if not os.path.isfile(path):
        return name.endswith(".dcm") and not os.path.exists(path)
    if name.endswith(".dcm"):
        return True
    try:
        with open(path, "rb") as file:
            start = file.read(132)
            return start[128:] == b"DICM" or start.startswith(_WITHOUT_PREAMBLE)
    except OSError:
        return True


def patient_digest(folder: Path) -> str | None:
    """Stands for the patient without telling the PatientID: 16 digits of its SHA-256; None where there is no ID.

    Raises:
        InputError: when the folder's first slice cannot be read.
    """
    patient = str(_header(dicom_files(folder)[0]).get("PatientID") or "").strip()
    return hashlib.sha256(patient.encode()).hexdigest()[:16] if patient else None


def read_dicom_series(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads the one CT series of a folder, whatever the order and names of its files.

    Slices are sorted along their normal; each has its own rescale slope and intercept. Identical copies of a slice are
    dropped with a warning.

    Args:
        folder: folder of the slices.

    Returns:
        [i, j, k] int16 or float32 HU, i along a row and j along a column, and the [4, 4] map from index to RAS mm.

    Raises:
        InputError: when the folder mixes series, is not CT, has slices of several orientations, sizes or spacings, an
            uneven distance of slices (one is missing), or different slices at one position.
    """
    slices = _checked_slices(folder)
    normal = np.cross(*slices[0].directions)
    slices = _without_copies(sorted(slices, key=lambda each: float(each.position_mm @ normal)), normal, folder)
    positions = np.array([each.position_mm for each in slices])
    step = _step_mm(positions, normal, min(slices[0].spacing_mm), folder)
    stack = SliceStack((*slices[0].shape, len(slices)), folder)
    for k, each in enumerate(slices):
        stack.put(k, _pixels(each.path))
    affine = np.eye(4)
    affine[:3, :2] = slices[0].directions.T * slices[0].spacing_mm
    affine[:3, 2], affine[:3, 3] = step, positions[0]
    return stack.values, LPS_TO_RAS @ affine


def _header(path: Path):
    pydicom = require("pydicom", "pydicom", "Reading DICOM")
    try:
        return pydicom.dcmread(path, defer_size=_DEFERRED_BYTES, specific_tags=_TAGS, force=_lacks_preamble(path))
    except Exception as error:  # pydicom raises many kinds for damaged files
        raise InputError(
            path, f"cannot be read as DICOM ({error}).", "Copy or download it again, or take it out of the folder."
        ) from error


def _lacks_preamble(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(4) in _WITHOUT_PREAMBLE


def _checked_slices(folder: Path) -> list[_Slice]:
    files = dicom_files(folder)
    if not files:
        raise InputError(folder, "holds no DICOM slices.", "Give a folder with the slices of one CT series.")
    headers = [_header(path) for path in files]
    for path, header in zip(files, headers):
        if not header.get("SeriesInstanceUID"):
            raise InputError(
                path, "states no SeriesInstanceUID.", "Copy or download it again, or take it out of the folder."
            )
    for tag in _ONE_OF_A_SERIES:
        found = sorted({str(header.get(tag, "")) for header in headers})
        if len(found) > 1:
            what = "DICOM series" if tag == _ONE_OF_A_SERIES[0] else f"values of {tag}"
            raise InputError(
                folder, f"holds {len(found)} {what} ({', '.join(found)}).", "Give each series a folder of its own."
            )
    slices = [_slice(path, header) for path, header in zip(files, headers)]
    first = slices[0]
    for each in slices[1:]:
        for what, one, other in (
            ("orientation", first.directions, each.directions),
            ("pixel spacing", first.spacing_mm, each.spacing_mm),
            ("size", first.shape, each.shape),
        ):
            if not np.allclose(one, other, rtol=0, atol=1e-4):
                raise InputError(
                    each.path,
                    f"has another {what} ({_plain(other)}) than {first.path.name} ({_plain(one)}).",
                    "Give each series a folder of its own.",
                )
    return slices


def _plain(numbers: Sequence[float] | np.ndarray) -> str:
    return ", ".join(f"{number:g}" for number in np.ravel(numbers))


def _slice(path: Path, header) -> _Slice:
    modality = str(header.get("Modality", ""))
    if modality != "CT":
        raise InputError(path, f"has the modality {modality or 'missing'}.", "Give CT series alone.")
    if int(header.get("NumberOfFrames") or 1) > 1:
        raise InputError(path, "holds several frames.", "Export the series with one file per slice.")
    _check_pixels(path, header)
    try:
        directions = np.array(header.ImageOrientationPatient, dtype=float).reshape(2, 3)
        position = np.array(header.ImagePositionPatient, dtype=float).reshape(3)
        between_rows, between_columns = (float(number) for number in header.PixelSpacing)
        shape = (int(header.Columns), int(header.Rows))
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(
            path, "lacks its pixel spacing, position, orientation or size.", "Export the series again with them."
        ) from error
    if not np.allclose(directions @ directions.T, np.eye(2), atol=1e-3) or not np.isfinite(position).all():
        raise InputError(path, f"has the orientation {_plain(directions)}.", "Export the series again.")
    if not (0 < between_rows < np.inf and 0 < between_columns < np.inf):
        raise InputError(
            path, f"has the pixel spacing {between_rows:g}, {between_columns:g} mm.", "Export the series again."
        )
    return _Slice(path, position, directions, (between_columns, between_rows), shape)


def _check_pixels(path: Path, header) -> None:
    """Refuses pixels that are not one HU each, by what their tags say."""
    for tag, right in (
        ("SamplesPerPixel", ("1",)),
        ("PhotometricInterpretation", ("MONOCHROME2",)),
        ("RescaleType", ("HU",)),
    ):
        value = str(header.get(tag) or right[0])
        if value not in right:
            raise InputError(path, f"has the {tag} {value}.", f"Give CT slices with {right[0]}.")
    if "LOCALIZER" in [str(part).upper() for part in header.get("ImageType") or []]:
        raise InputError(path, "is a localizer (ImageType).", "Take it out of the folder.")
    for tag, usual, least in (("RescaleSlope", 1.0, 0.0), ("RescaleIntercept", 0.0, -_MOST_SCALING)):
        try:
            number = float(header.get(tag, usual))
        except (TypeError, ValueError):
            number = np.nan
        if not least < number < _MOST_SCALING:
            raise InputError(path, f"has the {tag} {header.get(tag)}.", "Export the series again.")
    if "PixelData" not in header:
        raise InputError(path, "holds no pixels (PixelData).", "Take it out of the folder, or copy it again.")
    syntax = str(getattr(header, "file_meta", {}).get("TransferSyntaxUID", _UNCOMPRESSED[0]))
    bits, sizes = header.get("BitsAllocated"), [header.get("Rows"), header.get("Columns")]
    if syntax in _UNCOMPRESSED and bits and all(sizes):
        pixels = header.get_item("PixelData")  # deferred or not
        held = pixels.length if hasattr(pixels, "length") else len(pixels.value)
        stated = int(bits) // 8 * int(sizes[0]) * int(sizes[1])
        if held != stated + stated % 2:
            raise InputError(
                path,
                f"holds {held} bytes of pixels where Rows, Columns and BitsAllocated announce {stated}.",
                "Copy it again, or export the series again.",
            )


def _without_copies(slices: list[_Slice], normal: np.ndarray, folder: Path) -> list[_Slice]:
    kept = slices[:1]
    copies = 0
    for each in slices[1:]:
        place = float(each.position_mm @ normal)
        if place - float(kept[-1].position_mm @ normal) > _SAME_POSITION_MM:
            kept.append(each)
        elif np.array_equal(_pixels(each.path), _pixels(kept[-1].path)):
            copies += 1
        else:
            raise InputError(
                folder,
                f"has different slices at {place:.2f} mm, {kept[-1].path.name} and {each.path.name}.",
                "Give each series a folder of its own.",
            )
    if copies:
        logging.getLogger(__name__).warning("%s: %d identical copies of slices were left out.", folder, copies)
    return kept


def _step_mm(positions: np.ndarray, normal: np.ndarray, pixel_mm: float, folder: Path) -> np.ndarray:
    """[3] LPS, from one slice to the next; not along the normal where the gantry was tilted."""
    if len(positions) < 2:
        raise InputError(folder, "holds a single slice.", "Give a folder with all slices of one CT series.")
    places = positions @ normal
    gaps = np.diff(places)
    usual = float(np.sort(gaps)[(len(gaps) - 1) // 2])
    wrong = np.flatnonzero(np.abs(gaps - usual) > _UNEVEN * usual)
    if wrong.size:
        k = int(wrong[0])
        what = (
            f"lacks a slice at {places[k] + usual:.2f} mm"
            if gaps[k] > usual
            else f"has an additional slice at {places[k + 1]:.2f} mm"
        )
        raise InputError(folder, f"{what} (they are {usual:.6g} mm apart).", "Export the whole series again.")
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    astray = positions - positions[0] - step * np.arange(len(positions))[:, None]
    if np.linalg.norm(astray - np.outer(astray @ normal, normal), axis=1).max() > 0.25 * pixel_mm:
        raise InputError(folder, "has slices that are shifted sideways.", "Resample it to one grid first.")
    return step


def _pixels(path: Path) -> np.ndarray:
    """[i, j] float32 HU of one slice."""
    itk = require("itk", "itk-io", "Reading DICOM")
    try:
        reader = itk.ImageFileReader[itk.Image[itk.F, 3]].New(FileName=str(path), ImageIO=itk.GDCMImageIO.New())
        reader.Update()
    except RuntimeError as error:
        raise InputError(path, "has no pixels that can be read.", "Copy or download it again.") from error
    image = reader.GetOutput()
    return itk.array_from_image(image).reshape(image.GetLargestPossibleRegion().GetSize()[1], -1).T

"""Scan geometries in the YAML files of TIGRE and of the tools that project with it.

All of them name TIGRE's quantities (DSD, DSO, nDetector, dDetector, nVoxel, dVoxel, offOrigin, offDetector), but do not
agree on the order of axes; bundle/scanners/yaml_dialects.py says who means what. TIGRE's frame is this package's: at
angle alpha the source is at DSO (cos alpha, sin alpha, 0), columns run along (-sin alpha, cos alpha, 0), and the row
index of its projections grows along +z (https://github.com/CERN/TIGRE: Common/CUDA/Siddon_projection.cu,
computeDeltas_Siddon; Python/tigre/Source/_types.pxd for the order of lists). offOrigin is where the volume's centre is,
offDetector where the detector's is. The other tools turn TIGRE's rows round before they store projections, so theirs
grow along -z.

The x, y and z of these files are the axes of the tool's volume array. They are the patient's left, back and head only
if that volume was in LPS order.
"""

from __future__ import annotations

import os
import reprlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bundle.errors import InputError, naming
from bundle.geometry import ConeBeamGeometry, circular
from bundle.plausible import check_millimetres, check_radians
from bundle.scanners.units import millimetres_per_unit
from bundle.scanners.yaml_dialects import DIALECTS, Dialect
from bundle.small_files import read_text
from bundle.yaml_text import parse_yaml

__all__ = ["DETECTOR_ORDERS", "read_geometry_yaml"]

DETECTOR_ORDERS = ("vu", "uv")
_LENGTH_KEYS = ("DSO", "DSD", "dDetector", "dVoxel")
_GEOMETRY_KEYS = {*_LENGTH_KEYS, "nDetector", "sDetector", "nVoxel", "sVoxel", "offOrigin", "offDetector", "mode"}
_ROTATION_KEYS = ("rotDetector", "COR")  # known to TIGRE; must be zero
_OTHER_KEYS = {  # known not to change the training projections' geometry
    *("accuracy", "filter", "n_proj", "numVal", "randomAngle", "convert", "normalize"),
    *("rescale_slope", "rescale_intercept", "noise", "possion_noise", "gaussian_noise"),
}
_MAX_VIEWS = 100_000


def read_geometry_yaml(
    path: str | os.PathLike,
    angles_rad: Sequence[float] | np.ndarray | None = None,
    row_direction: str | None = None,
    dialect: str | None = None,
    unit: str | float = "mm",
    detector_order: str | None = None,
    detector_offset_mm: Sequence[float] | None = None,
    ignore: Sequence[str] = (),
) -> ConeBeamGeometry:
    """Reads a cone-beam geometry in the style of TIGRE.

    What the file leaves open is asked for, not assumed; each argument after the first answers one question and has
    precedence over the file. Offsets that the file lacks are zero, as in TIGRE.

    Args:
        path: the YAML file.
        angles_rad: gantry angles, one per view. None takes the file's list, or its evenly spaced views.
        row_direction: "+z" or "-z", how rows of the projections run that the geometry is meant for. None takes the
            direction of the projections that the tool stores.
        dialect: the tool that the file belongs to, one of
            :data:`bundle.scanners.yaml_dialects.DIALECTS`. None finds out by the file's keys, where
            they tell; NAF's, SAX-NeRF's and DIF-Net's files look alike and count as NAF's.
        unit: unit of all lengths in the file: "mm", "cm", "m", or the number of millimetres in one unit.
        detector_order: "vu" (rows first) or "uv", the order of nDetector, dDetector and sDetector. None takes the
            tool's.
        detector_offset_mm: (v, u) shift of the detector's centre along growing row and column index, in place of the
            file's offDetector.
        ignore: keys that the reader does not know and that do not change the geometry.

    Returns:
        The geometry.

    Raises:
        InputError: naming file and key, when the file is missing or damaged, describes anything but a cone beam on a
            circular orbit with a flat, untilted detector, contradicts itself, is hardly in the given unit, or leaves
            a question open; the message then asks it.
    """
    path = Path(path)
    with naming(path):
        record = _load(path)
        scan = _dialect(record, dialect)
        section = record if scan.section is None else record[scan.section]
        _check_keys(record, section, scan, set(ignore))
        _check_kind(section)
        per_unit = millimetres_per_unit(unit)
        sod_mm, sdd_mm = (_numbers(section, key, 1, positive=True)[0] * per_unit for key in ("DSO", "DSD"))
        volume_shape, voxel = _grid(section, "Voxel", 3)
        if scan.section is not None:
            _check_dataset(record, np.array(volume_shape) * voxel, set(ignore))
        voxel_mm = voxel * per_unit
        detector_shape, pixel = _grid(section, "Detector", 2)
        pixel_mm = pixel * per_unit
        check_millimetres(path, sod_mm, sdd_mm, pixel_mm, voxel_mm, names=_LENGTH_KEYS)
        if _flipped(scan, detector_order, detector_shape, pixel_mm):
            detector_shape, pixel_mm = detector_shape[::-1], pixel_mm[::-1]
        centre_mm = np.array(_numbers(section, "offOrigin", 3, default=0.0)) * per_unit
        if scan.volume_order == "zyx":
            volume_shape, voxel_mm, centre_mm = volume_shape[::-1], voxel_mm[::-1], centre_mm[::-1]
        rows = scan.row_direction if row_direction is None else row_direction
        if detector_offset_mm is None:
            detector_offset_mm = _offset_mm(section, scan, per_unit, rows)
        return circular(
            _angles(section, scan, angles_rad),
            sod_mm=sod_mm,
            sdd_mm=sdd_mm,
            detector_shape=detector_shape,
            pixel_mm=pixel_mm,
            volume_shape=volume_shape,
            voxel_mm=voxel_mm,
            detector_offset_mm=_pair("detector_offset_mm", detector_offset_mm),
            row_direction=rows,
            volume_centre_mm=centre_mm,
        )


def _load(path: Path) -> dict[str, Any]:
    record = parse_yaml(read_text(path), path, "Reading a geometry from YAML")
    if not isinstance(record, dict) or not all(isinstance(key, str) for key in record):
        raise InputError(path, "does not hold named entries.", "Give the YAML file that describes the scanner.")
    return record


def _dialect(record: dict[str, Any], name: str | None) -> Dialect:
    if name is None:
        if isinstance(record.get("projector"), dict):
            name = "c2rv"
        elif "totalAngle" in record:
            name = "naf" if "dDetector" in record else "r2gaussian"
        else:
            raise InputError(
                "dialect",
                "cannot be told from the keys: which tool is the file for? Lists are (z, y, x) and (v, u) in TIGRE's "
                "Python, (x, y, z) elsewhere.",
                f"Give dialect, one of {', '.join(DIALECTS)}.",
            )
    if name not in DIALECTS:
        raise InputError("dialect", f"is {name!r}.", f"Use one of {', '.join(DIALECTS)}.")
    scan = DIALECTS[name]
    nested = isinstance(record.get("projector"), dict)
    if nested != (scan.section is not None):
        raise InputError(
            "dialect",
            f"is {name!r}, but the file has {'a' if nested else 'no'} section 'projector'.",
            f"{scan.tool} {'keeps' if scan.section else 'does not keep'} its geometry there: choose another dialect.",
        )
    return scan


def _check_keys(record: dict[str, Any], section: dict[str, Any], scan: Dialect, ignore: set[str]) -> None:
    known = {*_GEOMETRY_KEYS, *_ROTATION_KEYS, *_OTHER_KEYS, *scan.view_keys, *(scan.arc_keys or ()), scan.angles_key}
    unknown = set(section) - known - ignore
    if section is not record:
        unknown |= set(record) - {scan.section, "dataset"} - ignore
    if unknown:
        raise InputError(
            ", ".join(sorted(map(str, unknown))),
            f"is not known from {scan.tool}: does it change the geometry?",
            f"If not, give ignore={sorted(map(str, unknown))!r}; otherwise build a ConeBeamGeometry from your own "
            "vectors.",
        )


def _check_kind(section: dict[str, Any]) -> None:
    mode = section.get("mode") or "cone"  # TIGRE's default
    if mode != "cone":
        raise InputError("mode", f"is {_show(mode)}.", "Only cone beams can be read.")
    for key in _ROTATION_KEYS:
        value = section.get(key) or 0
        if any(item != 0 for item in (value if isinstance(value, list) else [value])):
            raise InputError(
                key,
                f"is {_show(value)}, but turned or shifted axes cannot be read.",
                "Build a ConeBeamGeometry from the vectors of each view.",
            )


def _grid(section: dict[str, Any], name: str, count: int) -> tuple[list[int], np.ndarray]:
    """Counts and steps of voxels or pixels, in the file's order and unit; steps from the totals where they lack."""
    counts = _numbers(section, f"n{name}", count, positive=True)
    if any(number != int(number) for number in counts):
        raise InputError(f"n{name}", f"is {counts}.", "Give whole numbers.")
    step_key, total_key = f"d{name}", f"s{name}"
    if step_key not in section and total_key not in section:
        raise InputError(step_key, "is missing.", f"Give it, or {total_key}, the size of the whole.")
    shape = [int(number) for number in counts]
    if total_key not in section:
        return shape, np.array(_numbers(section, step_key, count, positive=True))
    total = np.array(_numbers(section, total_key, count, positive=True))
    if step_key not in section:
        return shape, total / counts
    step = np.array(_numbers(section, step_key, count, positive=True))
    if not np.allclose(total, step * counts, rtol=1e-4, atol=0):
        raise InputError(
            total_key,
            f"is {_show(total.tolist())}, but n{name} times {step_key} is {_show((step * counts).tolist())}.",
            "Correct the one that is wrong, or remove the total.",
        )
    return shape, step


def _check_dataset(record: dict[str, Any], size: np.ndarray, ignore: set[str]) -> None:
    """Compares the field of view of the section about the data set with the projector's, where both are there."""
    dataset = record.get("dataset")
    if "dataset" in ignore or not isinstance(dataset, dict) or not {"spacing", "resolution"} <= set(dataset):
        return
    other = np.array(_numbers(dataset, "spacing", 3)) * _numbers(dataset, "resolution", 3)
    if not np.allclose(other, size, rtol=1e-4, atol=0):
        raise InputError(
            "dataset",
            f"describes a volume of {_show(other.tolist())}, but the projector one of {_show(size.tolist())}: which "
            "one was projected?",
            "Correct the file, or give ignore=['dataset'] to take the projector's.",
        )


def _flipped(scan: Dialect, order: str | None, shape: list[int], pixel_mm: np.ndarray) -> bool:
    """Whether the detector's entries are (u, v)."""
    if order is not None and order not in DETECTOR_ORDERS:
        raise InputError("detector_order", f"is {order!r}.", f"Use one of {DETECTOR_ORDERS}.")
    order = order or scan.detector_order
    if order is None and (shape[0] != shape[1] or pixel_mm[0] != pixel_mm[1]):
        raise InputError(
            "nDetector, dDetector",
            f"differ between the two axes, and {scan.tool} itself does not read both in one order: which comes first, "
            "rows (v, along z) or columns (u)?",
            'Give detector_order="vu" if the projections were made with TIGRE from this file, or "uv".',
        )
    return order == "uv"


def _offset_mm(section: dict[str, Any], scan: Dialect, per_unit: float, rows: str) -> tuple[float, float]:
    """(v, u) shift of the detector's centre along growing row and column index."""
    first, second = (value * per_unit for value in _numbers(section, "offDetector", 2, default=0.0))
    along_z, along_u = (first, second) if scan.offset_order == "vu" else (second, first)
    if along_z != 0 and not scan.v_offset_known:
        raise InputError(
            "offDetector",
            f"shifts the detector along its rows' direction, towards +z when {scan.tool} makes projections and "
            "towards -z when it reconstructs: which way was yours shifted?",
            "Give detector_offset_mm=(v, u), the shift of its centre along growing row and column index; for DIF-Net's "
            'files, dialect="difnet" reads the shift as towards +z.',
        )
    return (-along_z if rows == "-z" else along_z), along_u


def _angles(section: dict[str, Any], scan: Dialect, given: Sequence[float] | np.ndarray | None) -> np.ndarray:
    """[views] gantry angles."""
    if given is not None:
        return _check_angles("angles_rad", given)
    if scan.angles_key is not None and section.get(scan.angles_key) is not None:
        return _check_angles(scan.angles_key, section[scan.angles_key])
    views = {key: section[key] for key in scan.view_keys if key in section}
    ask = "Give angles_rad, one angle per view."
    if not views or scan.arc_keys is None:
        raise InputError("angles_rad", "is not in the file: at which angles were the views taken?", ask)
    if section.get("randomAngle"):
        raise InputError("randomAngle", "is true: which angles were drawn is only known to the data set.", ask)
    if len(set(map(str, views.values()))) > 1:
        raise InputError(", ".join(views), "disagree.", "Keep one of them.")
    key, count = next(iter(views.items()))
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= _MAX_VIEWS:
        raise InputError(key, f"is {_show(count)}.", f"Give the number of views, at most {_MAX_VIEWS}.")
    total_deg, start_deg = (_numbers(section, name, 1)[0] for name in scan.arc_keys)
    if abs(total_deg) <= 2 * np.pi + 1e-3 or abs(total_deg) > 360:
        raise InputError(
            scan.arc_keys[0],
            f"is {total_deg:g}, where degrees of an arc of up to a turn belong: is it in radians, or a spiral?",
            ask,
        )
    return np.deg2rad(start_deg) + np.arange(count) * (np.deg2rad(total_deg) / count)


def _check_angles(name: str, values: Any) -> np.ndarray:
    try:
        angles = np.array(values)
    except ValueError:  # lists of unequal lengths
        angles = np.array(None)
    if angles.size and angles.dtype.kind not in "fiu":  # NumPy would turn text and booleans into numbers
        raise InputError(name, f"is {_show(values)}.", "Give one number per view, in radians.")
    angles = angles.astype(np.float64)
    if angles.ndim == 2 and angles.shape[1] == 3 and not angles[:, 1:].any():
        angles = angles[:, 0]  # TIGRE's Euler angles about z, y, z
    if angles.ndim != 1 or angles.size == 0 or not np.isfinite(angles).all():
        raise InputError(name, f"is {_show(values)}.", "Give one finite number per view, in radians, about z alone.")
    check_radians(name, angles)
    return angles


def _numbers(
    section: dict[str, Any], key: str, count: int, positive: bool = False, default: float | None = None
) -> list[float]:
    """The numbers of an entry; one that counts one is not a list."""
    if section.get(key) is None:
        if default is None:
            raise InputError(key, "is missing.", "Give the YAML file that describes the scanner, with this entry.")
        return [default] * count
    value = section[key]
    items = value if isinstance(value, list) and count > 1 else [value]
    text = next((item for item in items if isinstance(item, str)), None)
    if text is not None:
        raise InputError(key, f"holds the text {_show(text)}.", "Write plain numbers: 1000, not 01000, 1_000 or 16:40.")
    valid = len(items) == count and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in items)
    # Integers can be too large for NumPy, so they are compared, not converted.
    if not valid or not all(abs(v) <= sys.float_info.max and (v > 0 or not positive) for v in items):
        kind = "positive" if positive else "finite"
        raise InputError(key, f"is {_show(value)}.", f"Give {count} {kind} number{'s' * (count > 1)}.")
    return [float(v) for v in items]


def _pair(name: str, values: Sequence[float]) -> tuple[float, float]:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (2,) or not np.isfinite(array).all():
        raise InputError(name, f"is {_show(values)}.", "Give two finite millimetres, (v, u).")
    return float(array[0]), float(array[1])


def _show(value: Any) -> str:
    return reprlib.repr(value)

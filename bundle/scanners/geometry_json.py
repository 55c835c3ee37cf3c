"""Scan geometries as readable JSON, exact to the last bit.

One object: ``format``, ``version``, ``units`` ("mm") and the entries of :meth:`ConeBeamGeometry.to_dict`. Numbers are
written with as many digits as it takes to read the same number back.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from bundle.atomic import atomic_path, check_output
from bundle.errors import InputError, naming
from bundle.geometry import ConeBeamGeometry
from bundle.json_files import read_json_object

__all__ = ["read_geometry_json", "write_geometry_json"]

FORMAT = "deepsparse-geometry"
VERSION = 1
UNITS = "mm"
_HEADER = {"format": FORMAT, "version": VERSION, "units": UNITS}
_REMEDY = "See docs/geometry.md for the entries."
_SHAPES = ("detector_shape", "volume_shape")


def write_geometry_json(geometry: ConeBeamGeometry, path: str | os.PathLike) -> None:
    """Writes a geometry, complete or not at all.

    Nominal angles are written when every view has one, and as null otherwise.

    Args:
        geometry: the scan.
        path: file to write or replace; its name ends in .json.

    Raises:
        InputError: when the name has another suffix or the file cannot be written.
    """
    path = check_output(path, overwrite=True, suffixes=(".json",))
    with atomic_path(path) as temporary:
        temporary.write_text(_layout({**_HEADER, **geometry.to_dict()}), encoding="utf-8")


def read_geometry_json(path: str | os.PathLike) -> ConeBeamGeometry:
    """Reads what :func:`write_geometry_json` wrote.

    Raises:
        InputError: naming file and entry, when the file is missing, is not valid JSON, is of another format, version
            or unit, lacks an entry, has an unknown one or one twice, or a value is not a finite number or contradicts
            another.
    """
    path = Path(path)
    with naming(path):
        record = read_json_object(path)
        if record is None:
            raise InputError(path, "does not exist.", "Check the path.")
        for name, expected in _HEADER.items():
            value = record.pop(name, None)
            # A bool equals a number in Python: compare types, too.
            if type(value) is not type(expected) or value != expected:
                raise InputError(name, f"is {_shorten(value)}.", f"Expected {json.dumps(expected)}.")
        names = set(ConeBeamGeometry.__dataclass_fields__)
        missing, unknown = sorted(names - set(record)), sorted(set(record) - names)
        if missing or unknown:
            told = [f"lacks {', '.join(missing)}"] * bool(missing)
            told += [f"has the unknown {', '.join(map(_shorten, unknown))}"] * bool(unknown)
            raise InputError(path, f"{' and '.join(told)}.", _REMEDY)
        for name, value in record.items():
            if name != "angles_rad" or value is not None:
                _check_numbers(name, value, whole=name in _SHAPES)
        return ConeBeamGeometry.from_dict(record)


def _check_numbers(name: str, value: Any, whole: bool) -> None:
    """Refuses anything but lists of numbers; NumPy would turn text and booleans into numbers."""
    if not isinstance(value, list):
        raise InputError(name, f"is {_shorten(value)}.", "Give a list of numbers.")
    for item in value:
        if isinstance(item, list):
            _check_numbers(name, item, whole)
        elif isinstance(item, bool) or not isinstance(item, (int, float)):
            raise InputError(name, f"holds {_shorten(item)}.", "Give numbers.")
        elif whole and not isinstance(item, int):
            raise InputError(name, f"holds {item}.", "Give whole numbers.")


def _shorten(value: Any) -> str:
    text = "missing" if value is None else json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _layout(record: dict[str, Any]) -> str:
    """JSON text with an entry, or one view's vector, on each line."""
    entries = []
    for name, value in record.items():
        if isinstance(value, list) and isinstance(value[0], list):
            rows = ",\n".join(f"    {json.dumps(row, allow_nan=False)}" for row in value)
            text = f"[\n{rows}\n  ]"
        else:
            text = json.dumps(value, allow_nan=False)
        entries.append(f"  {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(entries) + "\n}\n"

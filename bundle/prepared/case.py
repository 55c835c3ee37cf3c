"""One prepared case: a folder of plain arrays with a description.

Files (docs/data.md has the table):

- ``case.json``: what the arrays are, and where they come from;
- ``volume.npy``: [block, x, y, z], the volume in [0, 1] as interleaved sub-lattices (see lattice.py);
- ``geometry.npy``: [view, 26] float64, the candidate views (see bundle/geometry_rows.py);
- ``projections.npy``: [view, v, u], their normalised projections, where stored;
- ``labels.npy``: [x, y, z], where stored.
"""

from __future__ import annotations

import os
import reprlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bundle.case_names import name_fault
from bundle.errors import InputError, naming
from bundle.geometry import ConeBeamGeometry
from bundle.geometry_rows import ROW_LENGTH, unpack_geometry
from bundle.json_files import parse_json_object
from bundle.plausible import check_hu_window, check_positions, check_scan
from bundle.prepared.precision import Coding
from bundle.prepared.projections import StoredProjections
from bundle.prepared.stored_array import StoredArray
from bundle.prepared.volume import LatticeVolume
from bundle.simulation import OWN_VOXELS, SCANNED_FROM
from bundle.small_files import read_text

__all__ = ["DESCRIPTION", "FORMAT", "VERSION", "PreparedCase"]

FORMAT = "deepsparse-case"
VERSION = 1
DESCRIPTION = "case.json"
_ENTRIES = ("name", "hu_window", "voxel_mm", "affine_ras", "volume", "geometry", "projections", "labels", "provenance")


@dataclass(frozen=True)
class PreparedCase:
    """A prepared case; arrays are opened when they are asked for.

    Args:
        folder: folder or URL.
        record: contents of its description.
    """

    folder: str
    record: dict[str, Any]

    @classmethod
    def open(cls, folder: str | Path) -> PreparedCase:
        """Reads a case's description.

        Raises:
            InputError: when the folder holds no prepared case.
        """
        path = f"{folder}/{DESCRIPTION}"
        try:
            text = read_text(path)
        except InputError as error:
            raise InputError(folder, f"is no prepared case ({error.problem}).", "Prepare it again.") from error
        record = parse_json_object(text, path, "Prepare the case again.")
        if record.get("format") != FORMAT or record.get("version") != VERSION:
            raise InputError(
                path,
                f"is of format {record.get('format')!r}, version {record.get('version')!r}.",
                f"Expected {FORMAT!r}, version {VERSION}: prepare the case again.",
            )
        missing = [name for name in _ENTRIES if name not in record]
        if missing:
            raise InputError(path, f"lacks {', '.join(missing)}.", "Prepare the case again.")
        fault = _fault(record)
        if fault:
            raise InputError(path, f"is damaged: {fault}.", "Prepare the case again.")
        check_hu_window(path, record["hu_window"])
        check_positions(path, "its first voxel (affine_ras)", np.asarray(record["affine_ras"])[:3, 3])
        return cls(str(folder), record)

    @property
    def name(self) -> str:
        """The case's name."""
        return self.record["name"]

    @property
    def hu_window(self) -> tuple[float, float]:
        """HU at 0 and 1."""
        low, high = self.record["hu_window"]
        return float(low), float(high)

    @property
    def voxel_mm(self) -> tuple[float, ...]:
        """Voxel size (x, y, z)."""
        return tuple(float(n) for n in self.record["voxel_mm"])

    @property
    def affine_ras(self) -> np.ndarray:
        """[4, 4] map from voxel index (axes left, back, head) to RAS mm."""
        return np.asarray(self.record["affine_ras"], dtype=np.float64)

    @property
    def provenance(self) -> dict[str, Any]:
        """What the case was made from, and by what."""
        return self.record["provenance"]

    @cached_property
    def volume(self) -> LatticeVolume:
        """The volume."""
        entry = self.record["volume"]
        return LatticeVolume(self._array(entry), entry["factors"], Coding.of(entry, self.folder))

    @property
    def acquisition(self) -> str:
        """The physics of the stored projections, in words."""
        return self.record["projections"]["acquisition"]

    @property
    def scanned_from(self) -> str:
        """What the stored projections were simulated of, in words; versions before 0.10 did not say."""
        return self.record["projections"].get(SCANNED_FROM, OWN_VOXELS)

    @cached_property
    def geometry_rows(self) -> torch.Tensor:
        """[views, 26] geometry of the candidate views."""
        array = self._array(self.record["geometry"])
        if len(array.shape) != 2 or array.shape[1] != ROW_LENGTH:
            raise InputError(array.path, f"has shape {array.shape}.", "Prepare the case again.")
        return torch.from_numpy(array.read())

    @property
    def geometry(self) -> ConeBeamGeometry:
        """The scan of the candidate views."""
        with naming(self.folder):
            geometry = unpack_geometry(self.geometry_rows)
        check_scan(self.folder, geometry)
        return geometry

    @property
    def has_projections(self) -> bool:
        """Whether projections of the candidate views are stored."""
        return self.record["projections"] is not None

    @cached_property
    def projections(self) -> StoredProjections | None:
        """Their projections, if stored."""
        return self.open_projections() if self.has_projections else None

    def open_projections(self, flip_rows: bool = False) -> StoredProjections:
        """The stored projections, with the detector's rows in the other order if asked for."""
        entry = self.record["projections"]
        array = self._array(entry)
        if len(array.shape) != 3 or len(array) != len(self.geometry_rows):
            raise InputError(
                array.path,
                f"has shape {array.shape} where the geometry has {len(self.geometry_rows)} views.",
                "Prepare the case again.",
            )
        return StoredProjections(array, Coding.of(entry, self.folder), flip_rows)

    @cached_property
    def labels(self) -> np.ndarray | None:
        """[X, Y, Z] labels, if stored."""
        entry = self.record["labels"]
        return None if entry is None else self._array(entry).read()

    def _array(self, entry: dict[str, Any]) -> StoredArray:
        array = StoredArray(f"{self.folder}/{entry['file']}")
        if list(array.shape) != entry["shape"] or str(array.dtype) != entry["dtype"]:
            raise InputError(
                array.path,
                f"holds {array.dtype} of shape {list(array.shape)} where {DESCRIPTION} says {entry['dtype']} of "
                f"{entry['shape']}.",
                "Prepare the case again.",
            )
        return array


def _fault(record: dict[str, Any]) -> str:
    """What is wrong with a description's entries, nothing if empty."""
    if not isinstance(record["provenance"], dict):
        return f"its provenance is {reprlib.repr(record['provenance'])}"
    if not isinstance(record["name"], str):
        return f"its name is {record['name']!r}"
    fault = name_fault(record["name"])
    if fault:
        return f"its name {record['name']!r} {fault}"
    numbers = {"hu_window": (2,), "voxel_mm": (3,), "affine_ras": (4, 4)}
    for name, shape in numbers.items():
        try:
            values = np.asarray(record[name], dtype=np.float64)
        except (TypeError, ValueError):
            return f"{name} is {reprlib.repr(record[name])}"
        if values.shape != shape or not np.isfinite(values).all():
            return f"{name} is {reprlib.repr(record[name])}"
    needed = {"volume": ("scale", "offset", "factors"), "geometry": (), "projections": ("scale", "acquisition")}
    for name, entries in {**needed, "labels": ()}.items():
        entry = record[name]
        if entry is None and name in ("projections", "labels"):
            continue
        if not isinstance(entry, dict):
            return f"{name} is {reprlib.repr(entry)}"
        missing = [key for key in ("file", "shape", "dtype", *entries) if key not in entry]
        if missing:
            return f"{name} lacks {', '.join(missing)}"
        if not isinstance(entry["file"], str) or os.path.basename(entry["file"]) != entry["file"]:
            return f"{name} is in {entry['file']!r}"
    factors = record["volume"]["factors"]
    if not (isinstance(factors, list) and len(factors) == 3 and all(isinstance(f, int) and f > 0 for f in factors)):
        return f"factors are {factors!r}"
    return ""

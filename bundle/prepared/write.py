"""Writing a prepared case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bundle.atomic import atomic_path
from bundle.geometry import ConeBeamGeometry
from bundle.geometry_rows import COLUMNS, pack_geometry
from bundle.json_files import write_json
from bundle.prepared.case import DESCRIPTION, FORMAT, VERSION
from bundle.prepared.lattice import lattice_factors, split_blocks
from bundle.prepared.precision import PRECISIONS, precise_coding
from bundle.simulation import OWN_VOXELS, SCANNED_FROM

__all__ = ["write_case"]


def write_case(
    folder: Path,
    name: str,
    volume: np.ndarray,
    affine_ras: np.ndarray,
    hu_window: Sequence[float],
    geometry: ConeBeamGeometry,
    precision: str = "uint16",
    projections: np.ndarray | None = None,
    acquisition: str = "exact",
    scanned_from: str = OWN_VOXELS,
    labels: np.ndarray | None = None,
    provenance: dict[str, Any] | None = None,
) -> None:
    """Writes a case's files into an existing folder, the description last.

    Args:
        folder: the folder.
        name: the case's name.
        volume: [X, Y, Z] in [0, 1], axes left, back, head.
        affine_ras: [4, 4] map from voxel index to RAS mm.
        hu_window: HU at 0 and 1.
        geometry: the candidate views.
        precision: one of PRECISIONS.
        projections: [views, V, U] normalised projections of the candidate views.
        acquisition: the physics that they were simulated with, in words.
        scanned_from: what they were simulated of, in words.
        labels: [X, Y, Z] integers.
        provenance: what it was made from: plain values.
    """
    dtype = PRECISIONS[precision]
    factors = lattice_factors(volume.shape)
    coding = precise_coding(dtype, 0.0, 1.0)
    record: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "name": name,
        "hu_window": [float(n) for n in hu_window],
        "voxel_mm": [float(n) for n in geometry.voxel_mm],
        "affine_ras": np.asarray(affine_ras, dtype=np.float64).tolist(),
        "volume": {
            **_write(folder / "volume.npy", split_blocks(coding.encode(volume, dtype), factors)),
            **vars(coding),
            "quantity": "0 to 1 over hu_window",
            "axes": ["block", "x", "y", "z"],
            "factors": list(factors),
        },
        "geometry": {
            **_write(folder / "geometry.npy", pack_geometry(geometry).numpy()),
            "axes": ["view", "column"],
            "columns": list(COLUMNS),
        },
        "projections": None,
        "labels": None,
        "provenance": provenance or {},
    }
    if projections is not None:
        coding = precise_coding(dtype, min(0.0, float(projections.min())), float(projections.max()))
        record["projections"] = {
            **_write(folder / "projections.npy", coding.encode(projections, dtype)),
            **vars(coding),
            "quantity": "normalised",
            "axes": ["view", "v", "u"],
            "acquisition": acquisition,
            SCANNED_FROM: scanned_from,
        }
    if labels is not None:
        record["labels"] = {**_write(folder / "labels.npy", labels), "axes": ["x", "y", "z"]}
    write_json(record, folder / DESCRIPTION)


def _write(path: Path, array: np.ndarray) -> dict[str, Any]:
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.save(file, np.ascontiguousarray(array), allow_pickle=False)
    return {"file": path.name, "shape": list(array.shape), "dtype": str(array.dtype)}

"""The projection file: projections, geometry and units in one .npz without pickles.

Entries (docs/geometry.md has the table):

- ``header``: a JSON text with format, version, quantity, hu_window, mu_water_per_mm, the geometry's
  sizes, and check_projections, true if missing;
- ``projections``: [view, v, u] float32;
- ``source_mm``, ``detector_centre_mm``, ``u_axis``, ``v_axis``: [view, 3] float64, and ``angles_rad`` [view];
- ``world_to_patient``: [4, 4] float64 rigid map from scan coordinates to the patient's (both LPS, mm);
- ``checksum``: SHA-256 over all of the above.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bundle.atomic import atomic_path, check_output
from bundle.data.checks import check_finite
from bundle.data.npz_archive import read_npz
from bundle.errors import InputError, naming
from bundle.geometry import ConeBeamGeometry
from bundle.json_files import parse_json_object
from bundle.physics.attenuation import (
    MU_WATER_PER_MM,
    MU_WATER_RANGE_PER_MM,
    attenuation_to_normalised,
    check_log_transformed,
    normalised_to_attenuation,
    rewindow_normalised,
)
from bundle.physics.line_integrals import check_line_integrals
from bundle.plausible import check_hu_window, check_positions, check_scan

__all__ = ["QUANTITIES", "ProjectionSet", "read_projections", "write_projections"]

FORMAT = "deepsparse-projections"
VERSION = 1
QUANTITIES = ("normalised", "attenuation")
_ARRAYS = ("source_mm", "detector_centre_mm", "u_axis", "v_axis", "angles_rad")
_SIZES = ("detector_shape", "pixel_mm", "volume_shape", "voxel_mm", "volume_centre_mm")


@dataclass(frozen=True)
class ProjectionSet:
    """Projections with everything needed to use them.

    Args:
        projections: [view, v, u] float32 line integrals.
        geometry: the scan.
        quantity: "normalised" (unit integral in metres / 0.2) or "attenuation" (integral of mu dl).
        hu_window: HU at 0 and 1, for normalised projections.
        mu_water_per_mm: attenuation of water at the beam's effective energy, for attenuation.
        world_to_patient: [4, 4] map from scan to patient coordinates (LPS mm).
        provenance: what made them: plain values.
        check_projections: refuse values that are probably no line integrals of a scan, such as equal views.
    """

    projections: np.ndarray
    geometry: ConeBeamGeometry
    quantity: str = "normalised"
    hu_window: tuple[float, float] = (-1000.0, 1000.0)
    mu_water_per_mm: float = MU_WATER_PER_MM
    world_to_patient: np.ndarray = field(default_factory=lambda: np.eye(4))
    provenance: dict[str, Any] = field(default_factory=dict)
    check_projections: bool = True

    def check(self, source: object) -> None:
        """Refuses contents that contradict each other.

        Raises:
            InputError: when count or size of the projections disagree with the geometry, the angles with the source
                positions, values are not finite or not log-transformed, a length, a position or the HU window is no
                scanner's, or the quantity is unknown; with check_projections as
                :func:`bundle.physics.line_integrals.check_line_integrals`.
        """
        expected = (self.geometry.num_views, *self.geometry.detector_shape)
        if self.projections.shape != expected:
            raise InputError(
                source,
                f"has projections of shape {self.projections.shape} where its geometry says {expected} (view, v, u).",
                "Exchange rows and columns in one of them."
                if self.projections.shape == (expected[0], expected[2], expected[1])
                else "Make both describe the same views and pixels.",
            )
        self._check_settings(source)
        if self.quantity not in QUANTITIES:
            raise InputError(source, f"has the quantity {self.quantity!r}.", f"Use one of {QUANTITIES}.")
        check_finite(self.projections, source)
        check_log_transformed(self.projections, source)
        if self.check_projections:
            check_line_integrals(self._attenuation(), self.geometry.source_mm, source)
        angles = self.geometry.angles_rad
        if not np.isnan(angles).any():
            actual = np.arctan2(self.geometry.source_mm[:, 1], self.geometry.source_mm[:, 0])
            difference = np.abs(np.angle(np.exp(1j * (actual - angles))))
            if difference.max() > 0.1:
                view = int(difference.argmax())
                raise InputError(
                    source,
                    f"gives view {view} the angle {np.rad2deg(angles[view]):.1f} degrees, but its source stands at "
                    f"{np.rad2deg(actual[view]):.1f}.",
                    "Correct the angles, or their unit (radians), or the source positions.",
                )

    def _attenuation(self) -> np.ndarray:
        """[view, v, u] attenuation, but for a constant where the HU window does not start at air."""
        if self.quantity == "attenuation":
            return self.projections
        from_air = (-1000.0, self.hu_window[1] - self.hu_window[0] - 1000.0)
        return normalised_to_attenuation(self.projections, from_air, self.mu_water_per_mm)

    def _check_settings(self, source: object) -> None:
        if not isinstance(self.provenance, dict):
            raise InputError(source, "has a provenance that is no record.", "See docs/geometry.md for the format.")
        check_hu_window(source, self.hu_window)
        check_scan(source, self.geometry)
        if not MU_WATER_RANGE_PER_MM[0] <= self.mu_water_per_mm <= MU_WATER_RANGE_PER_MM[1]:
            raise InputError(
                source,
                f"has mu_water_per_mm {self.mu_water_per_mm}.",
                f"Give the attenuation of water per millimetre ({MU_WATER_PER_MM} at 60 keV).",
            )
        matrix = np.asarray(self.world_to_patient)
        rigid = matrix.shape == (4, 4) and np.isfinite(matrix).all() and np.allclose(matrix[3], [0, 0, 0, 1])
        if rigid:
            rotation = matrix[:3, :3]
            rigid = np.allclose(rotation.T @ rotation, np.eye(3), atol=1e-3) and np.linalg.det(rotation) > 0
        if not rigid:
            raise InputError(
                source, "has a world_to_patient that is not a rotation and a shift.", "Give a rigid 4 x 4 map in mm."
            )
        check_positions(source, "the isocentre in the patient (world_to_patient)", matrix[:3, 3])

    def normalised(self, hu_window: tuple[float, float]) -> np.ndarray:
        """[view, v, u] normalised projections for the given HU window."""
        if self.quantity == "attenuation":
            return attenuation_to_normalised(self.projections, hu_window, self.mu_water_per_mm)
        return rewindow_normalised(self.projections, self.hu_window, hu_window)


def write_projections(data: ProjectionSet, path: str | os.PathLike) -> None:
    """Writes a projection file, complete or not at all.

    Args:
        data: what to write.
        path: .npz file.

    Raises:
        InputError: when the contents contradict each other or the file cannot be written.
    """
    path = Path(path)
    check_output(path, overwrite=True, suffixes=(".npz",))
    data.check(path)
    header = {
        "format": FORMAT,
        "version": VERSION,
        "quantity": data.quantity,
        "hu_window": [float(v) for v in data.hu_window],
        "mu_water_per_mm": float(data.mu_water_per_mm),
        "provenance": data.provenance,
        "check_projections": data.check_projections,
        **{name: list(getattr(data.geometry, name)) for name in _SIZES},
    }
    arrays = {
        "header": np.array(json.dumps(header)),
        "projections": np.asarray(data.projections, dtype=np.float32),
        "world_to_patient": np.asarray(data.world_to_patient, dtype=np.float64),
        **{name: getattr(data.geometry, name) for name in _ARRAYS},
    }
    arrays["checksum"] = np.array(_checksum(arrays))
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def read_projections(path: str | os.PathLike) -> ProjectionSet:
    """Reads and checks a projection file.

    Args:
        path: .npz file.

    Raises:
        InputError: when the file is missing, damaged, of another format, or contradicts itself.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "does not exist, or is no file.", "Check the path.")
    try:
        arrays = read_npz(path)
    except Exception as error:  # damaged archives raise a dozen kinds, zlib's and tokenize's among them
        raise InputError(
            path,
            f"is not a readable projection file ({error}).",
            "Write it with python -m bundle simulate, or see docs/geometry.md.",
        ) from error
    missing = [
        name for name in ("header", "projections", "world_to_patient", "checksum", *_ARRAYS) if name not in arrays
    ]
    if missing:
        raise InputError(path, f"lacks {', '.join(missing)}.", "See docs/geometry.md for the format.")
    try:
        header = parse_json_object(str(arrays["header"]), f"{path}, its header", "See docs/geometry.md for the format.")
        if header.get("format") != FORMAT or header.get("version") != VERSION:
            raise InputError(
                path,
                f"is of format {header.get('format')!r}, version {header.get('version')!r}.",
                f"Expected {FORMAT!r}, version {VERSION}.",
            )
        sizes = {name: header[name] for name in _SIZES}
        settings = {name: header[name] for name in ("quantity", "provenance")}
        settings["check_projections"] = header.get("check_projections", True) is not False
        settings["mu_water_per_mm"] = float(header["mu_water_per_mm"])
        settings["hu_window"] = tuple(float(v) for v in header["hu_window"])
    except InputError:
        raise
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise InputError(path, f"has a damaged header ({error}).", "See docs/geometry.md for the format.") from error
    if str(arrays["checksum"]) != _checksum(arrays):
        raise InputError(path, "does not match its checksum.", "It was damaged or edited: get another copy.")
    numeric = ("projections", "world_to_patient", *_ARRAYS)
    wrong = [name for name in numeric if arrays[name].dtype.kind != "f"]
    if wrong:
        raise InputError(path, f"has entries that are not floating point: {', '.join(wrong)}.", "See docs/geometry.md.")
    vectors: dict[str, Any] = {name: arrays[name] for name in _ARRAYS}
    with naming(path):
        geometry = ConeBeamGeometry(**vectors, **sizes)
    with np.errstate(over="ignore"):  # becomes infinite, which is refused
        projections = arrays["projections"].astype(np.float32)
    data = ProjectionSet(
        projections=projections,
        geometry=geometry,
        world_to_patient=arrays["world_to_patient"],
        **settings,
    )
    data.check(path)
    return data


def _checksum(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        if name != "checksum":
            value = arrays[name]
            digest.update(f"{name}{value.dtype.str}{value.shape}".encode())
            digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()

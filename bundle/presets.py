"""Named scans: the geometry and HU window that a data set was, or is to be, simulated with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from bundle.errors import InputError
from bundle.geometry import ConeBeamGeometry, circular
from bundle.json_files import parse_json_object
from bundle.paths import ROOT
from bundle.plausible import check_hu_window, check_scan
from bundle.small_files import read_text

__all__ = ["PRESETS_DIR", "ScanPreset", "load_preset", "preset_names"]

PRESETS_DIR = ROOT / "configs" / "presets"


@dataclass(frozen=True)
class ScanPreset:
    """A circular scan without its views, and the HU window of its volumes.

    Args:
        name: name of the preset.
        sod_mm: source-to-object distance.
        sdd_mm: source-to-detector distance.
        detector_shape: (rows, columns).
        pixel_mm: pixel pitch (v, u).
        volume_shape: voxels (x, y, z).
        voxel_mm: voxel size (x, y, z).
        hu_window: HU that map to 0 and 1.
        candidate_views: number of equally spaced views that sampling chooses from.
        arc_deg: extent of the orbit; 360 makes angles circular.
        row_direction: "+z" or "-z", how stored detector rows run.
        source: where the numbers come from.
    """

    name: str
    sod_mm: float
    sdd_mm: float
    detector_shape: Sequence[int]
    pixel_mm: Sequence[float]
    volume_shape: Sequence[int]
    voxel_mm: Sequence[float]
    hu_window: Sequence[float]
    candidate_views: int
    arc_deg: float = 180.0
    row_direction: str = "+z"
    source: str = ""

    def __post_init__(self) -> None:
        check_hu_window(f"preset {self.name}", self.hu_window)
        if int(self.candidate_views) != self.candidate_views or self.candidate_views < 1:
            raise InputError(f"preset {self.name}", f"has {self.candidate_views} views.", "Give a positive integer.")
        if not 0 < self.arc_deg <= 360:
            raise InputError(f"preset {self.name}", f"has an arc of {self.arc_deg} degrees.", "Give 0 < arc <= 360.")
        self.geometry([0.0])  # validates every remaining number

    @property
    def arc_rad(self) -> float:
        """Extent of the orbit in radians."""
        return float(np.deg2rad(self.arc_deg))

    @property
    def is_full_turn(self) -> bool:
        """Whether angles wrap around."""
        return bool(np.isclose(self.arc_deg, 360.0))

    @property
    def candidate_angles_rad(self) -> np.ndarray:
        """[candidate_views] equally spaced gantry angles from 0, the end of the arc left out."""
        return np.arange(self.candidate_views) * self.arc_rad / self.candidate_views

    @property
    def volume_size_mm(self) -> tuple[float, ...]:
        """Side lengths of the field (x, y, z)."""
        return tuple(n * d for n, d in zip(self.volume_shape, self.voxel_mm))

    def geometry(
        self, angles_rad: Sequence[float] | np.ndarray, detector_offset_mm: Sequence[float] = (0.0, 0.0)
    ) -> ConeBeamGeometry:
        """The scan at the given gantry angles, its detector shifted (v, u) in its plane."""
        return circular(
            angles_rad,
            sod_mm=self.sod_mm,
            sdd_mm=self.sdd_mm,
            detector_shape=self.detector_shape,
            pixel_mm=self.pixel_mm,
            volume_shape=self.volume_shape,
            voxel_mm=self.voxel_mm,
            detector_offset_mm=detector_offset_mm,
            row_direction=self.row_direction,
        )

    def resized(
        self,
        detector_shape: Sequence[int] | None = None,
        volume_shape: Sequence[int] | None = None,
    ) -> ScanPreset:
        """The same fields of view sampled with other numbers of pixels and voxels."""
        changes: dict[str, Any] = {}
        if detector_shape is not None:
            changes["detector_shape"] = tuple(detector_shape)
            changes["pixel_mm"] = tuple(
                n * d / m for n, d, m in zip(self.detector_shape, self.pixel_mm, detector_shape)
            )
        if volume_shape is not None:
            changes["volume_shape"] = tuple(volume_shape)
            changes["voxel_mm"] = tuple(n * d / m for n, d, m in zip(self.volume_shape, self.voxel_mm, volume_shape))
        return replace(self, **changes)


def preset_names(folder: str | Path = PRESETS_DIR) -> list[str]:
    """Names of the presets in a folder.

    Args:
        folder: folder of the presets.
    """
    return sorted(path.stem for path in Path(folder).glob("*.json"))


def load_preset(
    name: str,
    detector_shape: Sequence[int] | None = None,
    volume_shape: Sequence[int] | None = None,
    row_direction: str | None = None,
    folder: str | Path = PRESETS_DIR,
) -> ScanPreset:
    """Reads a preset by name.

    Args:
        name: file name in the folder, without its suffix.
        detector_shape: (rows, columns) to sample the same detector area with; the preset's own if None.
        volume_shape: voxels (x, y, z) to sample the same field of view with; the preset's own if None.
        row_direction: "+z" or "-z", how detector rows run; the preset's own if None.
        folder: folder of the presets.

    Returns:
        The preset.

    Raises:
        InputError: when there is no such preset or its file is invalid.
    """
    path = Path(folder) / f"{name}.json"
    if not path.is_file():
        raise InputError(
            f"preset {name!r}",
            f"is not in {folder}.",
            f"Use one of {', '.join(preset_names(folder))}, or add {path.name}.",
        )
    record = parse_json_object(read_text(path), path)
    known = {field.name for field in fields(ScanPreset)} - {"name"}
    unknown = sorted(set(record) - known)
    if unknown:
        raise InputError(path, f"has unknown entries {unknown}.", f"The known ones are {sorted(known)}.")
    try:
        preset = ScanPreset(name=name, **record)
    except TypeError as error:
        raise InputError(path, f"is incomplete ({error}).", f"Its entries are {sorted(known)}.") from error
    check_scan(path, preset.geometry([0.0]))
    if row_direction is not None:
        preset = replace(preset, row_direction=row_direction)
    return preset.resized(detector_shape, volume_shape)

"""What a person is shown of one prepared case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from bundle.data.checks import check_finite
from bundle.geometry import ConeBeamGeometry
from bundle.physics.attenuation import unit_to_hu
from bundle.prepared.case import PreparedCase
from bundle.prepared.projections import StoredProjections
from bundle.simulation import project_own_voxels

__all__ = ["CaseContents", "opposite_views", "read_contents"]


@dataclass(frozen=True)
class CaseContents:
    """One case as it is shown.

    Args:
        volume: [x, y, z] float32 in [0, 1], axes left, back, head.
        hu_window: HU at 0 and 1.
        geometry: the candidate views.
        shown_views: two views, about 90 degrees apart.
        projections: [2, V, U] their normalised projections.
        sinogram: [views, U] the central detector row of all views.
        projection_range: least and largest value of the stored projections; None if they are simulated to be shown.
        source: name of the file that the case was prepared from.
    """

    volume: np.ndarray
    hu_window: tuple[float, float]
    geometry: ConeBeamGeometry
    shown_views: tuple[int, int]
    projections: np.ndarray
    sinogram: np.ndarray
    projection_range: tuple[float, float] | None
    source: str

    @property
    def hu(self) -> np.ndarray:
        """[x, y, z] float32 HU, within the window."""
        return unit_to_hu(self.volume, self.hu_window)


def read_contents(folder: Path) -> CaseContents:
    """Reads a case, and simulates what is to be seen of its projections where they are not stored.

    Args:
        folder: of the prepared case.

    Raises:
        InputError: when it is missing or damaged.
    """
    case = PreparedCase.open(folder)
    volume = case.volume.read().numpy()
    check_finite(volume, folder / "volume.npy")
    geometry = case.geometry
    shown = opposite_views(geometry)
    limits = None
    stored = case.projections
    if stored is not None:
        projections = stored.values(list(shown)).numpy()
        sinogram, limits = _read_sinogram(stored, geometry.detector_shape[0] // 2)
        check_finite(np.array(limits), folder / "projections.npy")
    else:
        unit = torch.from_numpy(volume)[None, None]
        middle = replace(geometry, detector_shape=(1, geometry.detector_shape[1]))
        projections = project_own_voxels(unit, geometry.select(shown), case.hu_window)[0].numpy()
        sinogram = project_own_voxels(unit, middle, case.hu_window)[0, :, 0].numpy()
    source = case.provenance.get("source")
    name = str(source.get("file", "unknown")) if isinstance(source, dict) else "unknown"
    return CaseContents(volume, case.hu_window, geometry, shown, projections, sinogram, limits, name)


def opposite_views(geometry: ConeBeamGeometry) -> tuple[int, int]:
    """The first view, and the one whose source stands nearest to 90 degrees from it as seen from above."""
    angles = np.arctan2(geometry.source_mm[:, 1], geometry.source_mm[:, 0])
    turned = np.abs(np.angle(np.exp(1j * (angles - angles[0]))))
    return 0, int(np.abs(turned - np.pi / 2).round(9).argmin())  # of two that are as near, the first


def _read_sinogram(stored: StoredProjections, row: int) -> tuple[np.ndarray, tuple[float, float]]:
    """One detector row of all views, and the range of all pixels; one view in memory at a time."""
    lines: list[np.ndarray] = []
    limits: list[Sequence[float]] = []
    for view in range(len(stored)):
        image = stored.values(view).numpy()
        lines.append(image[row].copy())
        limits.append((float(image.min()), float(image.max())))
    low, high = np.array(limits).T
    return np.stack(lines), (float(low.min()), float(high.max()))

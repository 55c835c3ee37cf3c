"""What decides the contents of a prepared data set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bundle.errors import InputError
from bundle.physics.noise import DetectorNoise
from bundle.prepared.precision import PRECISIONS
from bundle.presets import ScanPreset, load_preset

__all__ = ["INTERPOLATIONS", "PrepareSettings"]

INTERPOLATIONS = {"linear": 1, "cubic": 3}
"""Order of the splines that resampling interpolates with; cubic ones are prefiltered."""


@dataclass(frozen=True)
class PrepareSettings:
    """What decides the contents of a prepared data set, beside its source.

    Args:
        dataset: name of the data set, whose rules apply.
        preset: scan; its grid, HU window and candidate views.
        detector_shape: (rows, columns) to sample the same detector area with; the preset's own if None.
        volume_shape: voxels (x, y, z) to sample the same field of view with; the preset's own if None.
        precision: how volumes and projections are stored, one of PRECISIONS.
        interpolation: "linear" or "cubic".
        candidate_projections: store the projections of all candidate views.
        photons: incident photons per pixel of their quantum noise; none if None.
        seed: seed of the noise and of the split.
        keep_labels: store the labels, too, where the data set has them.
        check_hu: refuse intensities that cannot be HU.
        own_voxels: simulate projections of the volume's own voxels, as published code does, instead of finer ones.

    Raises:
        InputError: when a value is not one of those possible.
    """

    dataset: str
    preset: str
    detector_shape: Sequence[int] | None = None
    volume_shape: Sequence[int] | None = None
    precision: str = "uint16"
    interpolation: str = "linear"
    candidate_projections: bool = True
    photons: float | None = None
    seed: int = 0
    keep_labels: bool = False
    check_hu: bool = True
    own_voxels: bool = False

    def __post_init__(self) -> None:
        for name, known in (("precision", PRECISIONS), ("interpolation", INTERPOLATIONS)):
            value = getattr(self, name)
            if value not in known:
                raise InputError(name, f"is {value!r}.", f"Use one of {', '.join(known)}.")
        if self.photons is not None:
            DetectorNoise(self.photons)  # refuses what is no number of photons
            if not self.candidate_projections:
                raise InputError("photons", "has no effect without candidate projections.", "Leave it out.")
        for name, count in (("detector_shape", 2), ("volume_shape", 3)):
            sizes = getattr(self, name)
            if sizes is not None and (len(sizes) != count or min(sizes) < 1):
                raise InputError(name, f"is {list(sizes)}.", f"Give {count} positive whole numbers.")

    @property
    def scan(self) -> ScanPreset:
        """The scan."""
        return load_preset(self.preset, self.detector_shape, self.volume_shape)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON, with the numbers of the scan, since a preset may be edited."""
        scan = {f"scan.{name}": value for name, value in asdict(self.scan).items() if name not in ("name", "source")}
        return json.loads(json.dumps({**asdict(self), **scan}))

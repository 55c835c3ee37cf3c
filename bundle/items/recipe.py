"""What items are made of: a recipe, and the plan of each number."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bundle.checksums import file_sha256
from bundle.data.anatomy_list import AnatomyItems
from bundle.data.datalist import load_datalist
from bundle.data.volume_files import volume_files
from bundle.errors import InputError
from bundle.presets import ScanPreset, load_preset
from bundle.sampling.jitter import ScanJitter

__all__ = ["ItemRecipe", "Plan"]

_GENERATION = 2
"""Raised whenever the same recipe and number come to give another item: by new anatomies, warps or scans."""

_TV_GENERATION = 2
"""Raised whenever the same options come to give another reconstruction."""

_ANATOMIES = {"chest": 3.0, "abdomen": 2.0, "pelvis": 1.0, "head": 2.0, "knee": 2.0}
_JITTER = {"angle_deg": 0.5, "sod_mm": 8.0, "sdd_mm": 12.0, "detector_shift_mm": [3.0, 3.0]}


@dataclass(frozen=True)
class Plan:
    """What one item will be; it follows from the recipe and the number alone, before anything is made.

    Args:
        number: of the item.
        anatomy: the volume's item (see :class:`bundle.data.anatomy_list.AnatomyItems`).
        views: number of views.
        photons: incident photons per pixel; no noise if None.
        truncation: share of the detector's width that is measured.
        seed: of all that is drawn later.
    """

    number: int
    anatomy: Mapping[str, Any]
    views: int
    photons: float | None
    truncation: float
    seed: int


@dataclass(frozen=True)
class ItemRecipe:
    """What decides training items: volumes, scans and their classical reconstruction.

    Volumes are generated anatomies and warped real CTs of one section of a data set. Scans are honest: of voxels twice
    as fine as the item's, with pixels that integrate. Views are equally spaced over the preset's arc from a random
    start.

    Args:
        preset: scan.
        volume_shape: voxels (x, y, z) of an item.
        detector_shape: (rows, columns) of its projections; the preset's own if None.
        seed: the same seed gives the same items.
        anatomies: how often each generated anatomy is drawn, relative to the others.
        dataset_dir: data set with the real CTs; none if None.
        section: the data set's section that they come from, and no other.
        real_share: share of items that are warped real CTs, where there are any.
        views: fewest and most views.
        many_views: fewest and most views of the items that have more.
        many_share: share of these.
        photons: fewest and most photons per pixel, with equal chances for equal ratios.
        exact_share: share of items without noise.
        truncated_share: share of items whose detector is too narrow.
        truncation: least and largest share of its width that is then measured.
        cut_probability: chances (x, y, z) that the body is cut along an axis (see CutFieldd).
        jitter: largest departures from the preset's scan, as ScanJitter takes them.
        tv: options of the total-variation reconstruction; its own defaults if empty.

    Raises:
        InputError: when a value is impossible.
    """

    preset: str = "abdomenatlas"
    volume_shape: Sequence[int] = (128, 128, 128)
    detector_shape: Sequence[int] | None = None
    seed: int = 0
    anatomies: Mapping[str, float] = field(default_factory=lambda: dict(_ANATOMIES))
    dataset_dir: str | None = None
    section: str = "training"
    real_share: float = 0.5
    views: Sequence[int] = (6, 10)
    many_views: Sequence[int] = (12, 60)
    many_share: float = 0.1
    photons: Sequence[float] = (3e4, 1e6)
    exact_share: float = 0.1
    truncated_share: float = 0.1
    truncation: Sequence[float] = (0.75, 0.95)
    cut_probability: Sequence[float] = (0.15, 0.15, 0.4)
    jitter: Mapping[str, Any] = field(default_factory=lambda: dict(_JITTER))
    tv: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("real_share", "many_share", "exact_share", "truncated_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(name, f"is {getattr(self, name)}.", "Give a share from 0 to 1.")
        for name in ("views", "many_views", "photons", "truncation"):
            bounds = getattr(self, name)
            if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1] < math.inf:
                raise InputError(name, f"is {list(bounds)}.", "Give two positive numbers, the lower first.")
        ScanJitter(**self.jitter)

    @cached_property
    def scan(self) -> ScanPreset:
        """The scan with the items' voxels."""
        return load_preset(self.preset, self.detector_shape, self.volume_shape)

    @cached_property
    def volumes(self) -> AnatomyItems:
        """The volumes by number."""
        return AnatomyItems(self.seed, self.anatomies, (), self.dataset_dir, self.section, self.real_share)

    def plan(self, number: int) -> Plan:
        """What the item of a number will be.

        Args:
            number: from 0.
        """
        rng = np.random.default_rng([self.seed % 2**63, number, 1])
        few, many, exact, cut, share = rng.uniform(size=5)
        low, high = self.many_views if many < self.many_share else self.views
        views = low + int(few * (high - low + 1))
        photons = None if exact < self.exact_share else _between(self.photons, rng.uniform())
        truncation = 1.0
        if cut < self.truncated_share:
            truncation = self.truncation[0] + share * (self.truncation[1] - self.truncation[0])
        return Plan(number, self.volumes[number], views, photons, truncation, int(rng.integers(2**31)))

    def as_dict(self) -> dict[str, Any]:
        """Plain values that decide the items, for JSON: with the scan's numbers and the real CTs' checksums."""
        scan = {name: value for name, value in asdict(self.scan).items() if name not in ("name", "source")}
        own = {name: value for name, value in asdict(self).items() if name not in ("dataset_dir", "tv")}
        return json.loads(json.dumps({**own, "scan": scan, "real": self._real_sha256, "generation": _GENERATION}))

    @property
    def tv_options(self) -> dict[str, Any]:
        """Plain values that decide the reconstruction by total variation, for JSON."""
        return json.loads(json.dumps({**self.tv, "generation": _TV_GENERATION}))

    @cached_property
    def digest(self) -> str:
        """Checksum of what decides the scans."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()[:16]

    @cached_property
    def _real_sha256(self) -> dict[str, str]:
        """SHA-256 of the real CTs' files by their names."""
        cases = [] if self.dataset_dir is None else load_datalist(self.dataset_dir, self.section)
        return {
            str(case.get("case", case["image"])): " ".join(
                file_sha256(file) for file in volume_files(Path(case["image"]))
            )
            for case in cases
        }


def _between(bounds: Sequence[float], share: float) -> float:
    return float(bounds[0] * (bounds[1] / bounds[0]) ** share)

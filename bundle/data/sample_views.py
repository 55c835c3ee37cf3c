"""Dictionary transform that chooses an item's views."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import Randomizable, Transform
from monai.utils import ensure_tuple

from bundle.errors import InputError, naming
from bundle.geometry import ConeBeamGeometry
from bundle.geometry_rows import pack_geometry
from bundle.presets import ScanPreset
from bundle.sampling.jitter import ScanJitter
from bundle.sampling.views import hybrid_views

__all__ = ["SampleViewsd"]


class SampleViewsd(Randomizable, Transform):
    """Draws sparse and auxiliary views (see :func:`bundle.sampling.views.hybrid_views`).

    Candidates are the item's own stored views ("angles_rad", "matrices", "geometry", "projections") or, without those,
    the scan's. The item then holds the chosen views' "angles_rad" [views], "matrices" [views, 3, 4], "geometry"
    [views, 26] (see pack_geometry), "sparse_mask" [views], "views" [views] (candidate indices) and, if stored,
    "projections" [views, V, U].

    Args:
        scan: the scan.
        num_sparse: number of sparse views, or several of which each item draws one; an item's own "num_sparse"
            takes precedence.
        num_total: number of all views; None for the sparse ones alone. Items that then draw fewer views than others
            may repeat their own, so that a batch is rectangular; maxima over the views are the same.
        random: draw counts and offsets at random; otherwise take the first count and offsets of zero.
        jitter: random departures from the scan, for views that are simulated later; none if None.

    Raises:
        InputError: when views are stored and jitter is asked for.
    """

    def __init__(
        self,
        scan: ScanPreset,
        num_sparse: int | Sequence[int],
        num_total: int | None = None,
        random: bool = True,
        jitter: ScanJitter | None = None,
    ) -> None:
        self.scan = scan
        self.num_sparse = [int(n) for n in ensure_tuple(num_sparse)]
        self.num_total = num_total
        self.random = random
        self.jitter = jitter

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Transforms one item."""
        d = dict(data)
        counts = [int(d["num_sparse"])] if "num_sparse" in d else self.num_sparse
        count = counts[self.R.randint(len(counts))] if self.random else counts[0]
        stored = "angles_rad" in d
        angles = np.asarray(d["angles_rad"], dtype=np.float64) if stored else self.scan.candidate_angles_rad
        with naming(f"case {d.get('case', 'unknown')}"):
            rng = self.R if self.random else None
            # Stored views may come in any order; equally spaced ones are chosen in the order of their angles.
            order = np.argsort(angles, kind="stable") if np.isfinite(angles).all() else np.arange(len(angles))
            chosen = hybrid_views(count, self.num_total, angles[order], self.scan.is_full_turn, rng)
        views = order[chosen.views]
        length = self.num_total or (max(counts) if self.random else count)
        d["views"] = torch.as_tensor(np.resize(views, length))
        d["sparse_mask"] = torch.as_tensor(np.resize(chosen.sparse_mask, length))
        if stored:
            if self.jitter is not None:
                raise InputError(
                    "jitter",
                    f"is set, but case {d.get('case', 'unknown')} has its projections already.",
                    "Simulate on the fly: set prepared_projections and cache_projections to false.",
                )
            for key in {"angles_rad", "matrices", "geometry", "projections"} & set(d):
                d[key] = d[key][d["views"]]
            return d
        # Each view once: repeated ones, which fill up a batch, must stay equal.
        geometry = self._geometry(angles[views])
        rows = np.resize(np.arange(len(views)), length)
        d["angles_rad"] = torch.as_tensor(geometry.angles_rad[rows], dtype=torch.float32)
        d["matrices"] = torch.as_tensor(geometry.unit_matrices()[rows], dtype=torch.float32)
        d["geometry"] = pack_geometry(geometry)[rows]
        return d

    def _geometry(self, angles_rad: np.ndarray) -> ConeBeamGeometry:
        if self.jitter is None:
            return self.scan.geometry(angles_rad)
        return self.jitter.draw(self.scan, angles_rad, self.R)

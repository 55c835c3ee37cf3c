"""Dictionary transform that loses some of an item's views."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import Transform

from bundle.errors import InputError
from bundle.physics.noise import case_generator

__all__ = ["DropViewsd"]

_OF_VIEWS = ("views", "sparse_mask", "angles_rad", "matrices", "geometry", "projections")


class DropViewsd(Transform):
    """Removes sparse views at random, as if their exposures had failed; no method is told of them.

    Put it after SampleViewsd. All entries of the views lose the same ones: "views", "sparse_mask", "angles_rad",
    "matrices", "geometry" and "projections". Auxiliary views stay. "num_sparse" becomes, or stays, the number of sparse
    views that was planned.

    Args:
        count: number of sparse views to remove.
        seed: with the item's "case" it decides which.

    Raises:
        InputError: when the count is negative, or no sparse view would be left.
    """

    def __init__(self, count: int, seed: int = 0) -> None:
        if int(count) != count or count < 0:
            raise InputError("missing views", f"are {count}.", "Give a whole number, zero or more.")
        self.count = int(count)
        self.seed = seed

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Transforms one item."""
        d = dict(data)
        views, sparse = torch.as_tensor(d["views"]), torch.as_tensor(d["sparse_mask"])
        planned = torch.unique(views[sparse])  # items may repeat views to fill up a batch
        if self.count >= len(planned):
            raise InputError(
                "missing views",
                f"are {self.count}, but case {d.get('case', 'unknown')} has {len(planned)} sparse views.",
                "Leave at least one.",
            )
        generator = case_generator(self.seed, f"missing views of {d.get('case')}", "cpu")
        lost = planned[torch.randperm(len(planned), generator=generator)[: self.count]]
        kept = torch.nonzero(~torch.isin(views, lost))[:, 0]
        for key in set(_OF_VIEWS) & set(d):
            d[key] = d[key][kept]
        d["num_sparse"] = len(planned)
        return d

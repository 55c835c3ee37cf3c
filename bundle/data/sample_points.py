"""Dictionary transform that draws training points."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from monai.transforms import Randomizable, Transform

from bundle.errors import InputError
from bundle.sampling.points import draw_neighbours, draw_voxels, is_held_out, voxel_positions

__all__ = ["SamplePointsd"]


class SamplePointsd(Randomizable, Transform):
    """Adds "points" [points, 3] in the unit cube and their "values" [1, points], drawn from a volume's voxels.

    Args:
        count: points per item.
        key: entry with the volume [1, X, Y, Z].
        corner: place voxels as published weights learnt it (see DiCE's output_grid).
        hold_out_every: never draw every n-th diagonal plane of voxels, to test on; None draws from all.
        pairs: draw neighbours, as a loss on gradients needs them; those of the second half are one voxel further along
            x, y or z than the first half's.

    Raises:
        InputError: when nothing or no pair would be left to draw.
    """

    def __init__(
        self,
        count: int = 10_000,
        key: str = "image",
        corner: bool = False,
        hold_out_every: int | None = None,
        pairs: bool = False,
    ) -> None:
        self.count = count
        self.key = key
        self.corner = corner
        self.hold_out_every = hold_out_every
        self.pairs = pairs
        if hold_out_every is not None and hold_out_every < 2:
            raise InputError("hold_out_every", f"is {hold_out_every}.", "Give at least 2, or null to draw from all.")
        if pairs and hold_out_every is not None:
            raise InputError("hold_out_every", "leaves few pairs for a loss on gradients.", "Use one of the two.")
        if pairs and count % 2:
            raise InputError("points_per_volume", f"is {count}, but pairs are drawn.", "Give an even number.")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Transforms one item."""
        d = dict(data)
        volume = torch.as_tensor(d[self.key])[0]
        held_out = partial(is_held_out, every=self.hold_out_every) if self.hold_out_every else None
        index = self.draw(volume.shape, held_out)
        d["points"] = torch.as_tensor(voxel_positions(index, volume.shape, self.corner))
        x, y, z = torch.as_tensor(index).unbind(dim=1)
        d["values"] = volume[x, y, z].float()[None]
        return d

    def draw(self, shape: Sequence[int], held_out: Callable[[np.ndarray], np.ndarray] | None = None) -> np.ndarray:
        """[count, 3] indices of voxels, or of pairs of them."""
        if self.pairs:
            return draw_neighbours(self.count, shape, self.R)
        return draw_voxels(self.count, shape, self.R, held_out)

"""Dictionary transform that cuts the body as cropped scans and short ones do."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.transforms import Randomizable, Transform

from bundle.errors import InputError
from bundle.simulation import FINE

__all__ = ["CutFieldd"]


class CutFieldd(Randomizable, Transform):
    """Leaves a random box of a volume, and air around it.

    Archives hold many scans that end where the region of interest did; padded with air they show a body with flat ends.

    Args:
        key: entry with the volume [1, X, Y, Z] in [0, 1]; its finer version, "fine", is cut alike.
        probability: chances (x, y, z) that the body is cut along an axis.
        kept: range of the share that remains along an axis; the box lies anywhere within.

    Raises:
        InputError: when a number is impossible.
    """

    def __init__(
        self,
        key: str = "image",
        probability: Sequence[float] = (0.2, 0.2, 0.6),
        kept: Sequence[float] = (0.2, 0.95),
    ) -> None:
        self.key = key
        self.probability = [float(p) for p in probability]
        self.kept = [float(share) for share in kept]
        if len(self.probability) != 3 or not all(0 <= p <= 1 for p in self.probability):
            raise InputError("probability", f"is {self.probability}.", "Give three numbers from 0 to 1.")
        if len(self.kept) != 2 or not 0 < self.kept[0] <= self.kept[1] <= 1:
            raise InputError("kept", f"is {self.kept}.", "Give the ends of a range within 0 to 1.")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Transforms one item."""
        d = dict(data)
        sizes = torch.as_tensor(d[self.key]).shape[1:]
        box = []
        for size, probability in zip(sizes, self.probability):
            cut, share, place = self.R.uniform(size=3)
            length = max(1, round(size * (self.kept[0] + share * (self.kept[1] - self.kept[0]))))
            start = round(place * (size - length))
            box.append((start, start + length) if cut < probability else (0, size))
        if box != [(0, size) for size in sizes]:
            for key in {self.key, FINE} & set(d):
                volume = torch.as_tensor(d[key])
                # Every voxel holds as many fine ones, so that the box has the same faces in both.
                factors = [fine // size for fine, size in zip(volume.shape[1:], sizes)]
                inside = (slice(None), *(slice(f * first, f * last) for f, (first, last) in zip(factors, box)))
                d[key] = torch.zeros_like(volume)
                d[key][inside] = volume[inside]
        return d

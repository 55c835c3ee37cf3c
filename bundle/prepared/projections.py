"""Stored projections, read by views."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from bundle.prepared.precision import Coding
from bundle.prepared.stored_array import StoredArray

__all__ = ["StoredProjections"]


class StoredProjections:
    """Stored projections, read by views.

    Args:
        array: [view, v, u].
        coding: of the stored numbers.
        flip_rows: give the detector's rows in the other order.
    """

    def __init__(self, array: StoredArray, coding: Coding, flip_rows: bool = False) -> None:
        self.array, self.coding, self.flip_rows = array, coding, flip_rows

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, views: int | Sequence[int] | torch.Tensor) -> torch.Tensor:
        """Stored numbers: [V, U] of one view, [views, V, U] of several."""
        numbers = self.array[np.asarray(views)]
        return torch.from_numpy(numbers[..., ::-1, :].copy() if self.flip_rows else numbers)

    def values(self, views: int | Sequence[int] | torch.Tensor) -> torch.Tensor:
        """Normalised float32 projections: [V, U] of one view, [views, V, U] of several."""
        return torch.from_numpy(self.coding.decode(self[views].numpy()))

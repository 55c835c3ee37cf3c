"""What every segmenter is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np

__all__ = ["Segmenter"]


@runtime_checkable
class Segmenter(Protocol):
    """Labels the structures in a CT volume, whichever way its axes run.

    Everything that can be missing or wrong, such as weights, is found out when it is made, before any volume is read.
    """

    @property
    def structures(self) -> Mapping[int, str]:
        """Names of the structures by label; 0 is the background and not among them."""
        ...

    def __call__(self, hu: np.ndarray, affine_ras: np.ndarray) -> np.ndarray:
        """Segments one volume.

        Args:
            hu: [X, Y, Z] Hounsfield units.
            affine_ras: [4, 4] map from voxel index to RAS millimetres.

        Returns:
            [X, Y, Z] uint8 or uint16 labels on the same grid; all 0 where there is nothing to be found.

        Raises:
            InputError: when the volume cannot be segmented, such as one that is not in HU.
        """
        ...

    def describe(self) -> dict[str, str]:
        """Where the labels come from: name, version of the package, weights with their SHA-256, settings."""
        ...

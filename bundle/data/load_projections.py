"""Projection files as network input."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.config import KeysCollection
from monai.transforms import MapTransform

from bundle.data.projection_file import ProjectionSet, read_projections
from bundle.presets import ScanPreset

__all__ = ["LoadProjectionsd", "network_input"]


def network_input(data: ProjectionSet, scan: ScanPreset) -> dict[str, torch.Tensor]:
    """Brings projections into the form that a network trained on the scan expects.

    Values are normalised for the scan's HU window, rows turned to its direction, and pixels averaged (or
    interpolated) to its number of rows and columns over the same detector area.

    Args:
        data: measured or simulated projections.
        scan: the network's scan.

    Returns:
        "projections" [views, V, U], "matrices" [views, 3, 4] and "angles_rad" [views], all float32.
    """
    geometry, values = data.geometry, data.normalised(tuple(scan.hu_window))
    if geometry.row_direction() != scan.row_direction:
        geometry, values = geometry.flip_rows(), values[:, ::-1].copy()
    projections = torch.as_tensor(values, dtype=torch.float32)
    wanted = tuple(scan.detector_shape)
    if geometry.detector_shape != wanted:
        shrinks = all(n >= w for n, w in zip(geometry.detector_shape, wanted))
        options = {"mode": "area"} if shrinks else {"mode": "bilinear", "align_corners": False}
        projections = F.interpolate(projections[:, None], size=wanted, **options)[:, 0]
    return {
        "projections": projections,
        "matrices": torch.as_tensor(geometry.unit_matrices(), dtype=torch.float32),
        "angles_rad": torch.as_tensor(np.array(geometry.angles_rad), dtype=torch.float32),
    }


class LoadProjectionsd(MapTransform):
    """Reads stored candidate projections, adding their "matrices" and "angles_rad" to the item.

    Args:
        keys: the one entry that holds a projection file's path; it becomes [views, V, U].
        scan: the network's scan.
        allow_missing_keys: skip absent entries.
    """

    def __init__(self, keys: KeysCollection, scan: ScanPreset, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"LoadProjectionsd takes one key, got {self.keys}.")
        self.scan = scan

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Transforms one item."""
        d = dict(data)
        for key in self.key_iterator(d):
            loaded = network_input(read_projections(os.fspath(d[key])), self.scan)
            d[key] = loaded.pop("projections")
            d.update(loaded)
        return d

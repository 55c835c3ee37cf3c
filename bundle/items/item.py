"""One item: a truth and a scan of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bundle.geometry import ConeBeamGeometry

__all__ = ["Item"]


@dataclass(frozen=True)
class Item:
    """A truth and its scan; values are those of half precision, whether it was read or just made.

    Args:
        truth: [X, Y, Z] float16 in [0, 1] over the HU window.
        projections: [views, V, U] float16 normalised projections, as measured.
        geometry: the scan, with the truth's voxels.
        photons: incident photons per pixel; no noise if None.
        scanned_from: how the scan was made, in words.
    """

    truth: torch.Tensor
    projections: torch.Tensor
    geometry: ConeBeamGeometry
    photons: float | None
    scanned_from: str

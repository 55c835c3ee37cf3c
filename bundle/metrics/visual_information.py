"""Visual information fidelity of volumes."""

from __future__ import annotations

import numpy as np
import torch

from bundle.optional import require
from bundle.torchvision_operators import ensure_torchvision

__all__ = ["SMALLEST_SLICE", "visual_information_fidelity"]

SMALLEST_SLICE = 41
"""Pixels per side below which the coarsest of the four scales has no window left."""

_GREY_LEVELS = 255.0
_NOISE_VARIANCE = 2.0
_SLICES_AT_ONCE = 4


def visual_information_fidelity(prediction: np.ndarray, target: np.ndarray, data_range: float) -> float | None:
    """Pixel-based visual information fidelity (VIF) of axial slices, averaged over them.

    It is the information about the scene that a viewer has from the prediction, as a share of that from the truth
    (Sheikh and Bovik, "Image information and visual quality", IEEE Transactions on Image Processing 15, 2006): 1 for
    equal images, less for noisy or blurred ones, and more for enhanced contrast. The viewer's own noise has a variance
    of 2 grey levels squared where images span 255, so values are scaled to that.

    Args:
        prediction: [x, y, z] volume.
        target: the truth, of the same shape.
        data_range: difference between the largest and smallest possible value.

    Returns:
        The mean over the slices [x, y] whose truth varies by more than the viewer's noise, since others hold no
        information; None if there are none, or a slice has fewer than SMALLEST_SLICE pixels on a side.

    Raises:
        ImportError: when torchmetrics is missing.
    """
    scale = _GREY_LEVELS / data_range
    informative = np.flatnonzero(np.var(target, axis=(0, 1), dtype=np.float64) * scale**2 > _NOISE_VARIANCE)
    if min(target.shape[:2]) < SMALLEST_SLICE or not len(informative):
        return None
    ensure_torchvision()
    metrics = require("torchmetrics.functional.image", "torchmetrics", "visual information fidelity")
    total = 0.0
    for start in range(0, len(informative), _SLICES_AT_ONCE):
        chosen = informative[start : start + _SLICES_AT_ONCE]
        pair = (_slices(volume, chosen, scale) for volume in (prediction, target))
        total += float(metrics.visual_information_fidelity(*pair, reduction="none").sum())
    return total / len(informative)


def _slices(volume: np.ndarray, chosen: np.ndarray, scale: float) -> torch.Tensor:
    """[slices, 1, x, y] float32 about a mean of zero, which changes no variance but keeps their digits."""
    slices = np.moveaxis(volume[:, :, chosen], 2, 0).astype(np.float64) * scale
    slices -= slices.mean(axis=(1, 2), keepdims=True)
    return torch.from_numpy(slices.astype(np.float32))[:, None]

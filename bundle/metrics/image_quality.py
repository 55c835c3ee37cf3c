"""PSNR, SSIM and VIF of volumes.

The data range is an argument everywhere: left to be guessed, it has inflated published SSIM figures by 3 to 6 points.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bundle.metrics.visual_information import visual_information_fidelity
from bundle.optional import require

__all__ = ["psnr", "quality", "ssim_3d", "ssim_slices"]

_SSIM_WINDOW = 7  # scikit-image's


def psnr(prediction: np.ndarray, target: np.ndarray, data_range: float) -> float:
    """Peak signal-to-noise ratio in dB, 10 log10(range^2 / MSE); infinite for equal volumes.

    Args:
        prediction: [x, y, z] volume.
        target: the truth, of the same shape.
        data_range: difference between the largest and smallest possible value.
    """
    mse = float(np.mean((prediction.astype(np.float64) - target.astype(np.float64)) ** 2))
    return float("inf") if mse == 0 else float(10 * np.log10(data_range**2 / mse))


def ssim_3d(prediction: np.ndarray, target: np.ndarray, data_range: float) -> float:
    """Structural similarity with scikit-image's 7 x 7 x 7 windows.

    Args:
        prediction: [x, y, z] volume.
        target: the truth, of the same shape.
        data_range: difference between the largest and smallest possible value.
    """
    return float(_structural_similarity()(target, prediction, data_range=data_range))


def ssim_slices(prediction: np.ndarray, target: np.ndarray, data_range: float) -> float:
    """2D structural similarity, averaged over the slices of each axis and then over the three axes.

    Args:
        prediction: [x, y, z] volume.
        target: the truth, of the same shape.
        data_range: difference between the largest and smallest possible value.
    """
    similarity = _structural_similarity()
    means = []
    for axis in range(3):
        pairs = zip(np.moveaxis(target, axis, 0), np.moveaxis(prediction, axis, 0))
        means.append(np.mean([similarity(t, p, data_range=data_range) for t, p in pairs]))
    return float(np.mean(means))


def quality(prediction: np.ndarray, target: np.ndarray, data_range: float = 1.0) -> dict[str, float | None]:
    """All of the above, and the visual information fidelity of axial slices.

    Args:
        prediction: [x, y, z] volume.
        target: the truth, of the same shape.
        data_range: difference between the largest and smallest possible value.

    Returns:
        "psnr_db" (infinite for equal volumes), "ssim_3d", "ssim_slices" and "vif"; None where they are undefined, for
        volumes thinner than the windows of structural similarity, and see visual_information_fidelity.

    Raises:
        ImportError: when scikit-image or torchmetrics is missing.
        ValueError: when shapes differ.
    """
    if prediction.shape != target.shape:
        raise ValueError(f"prediction {prediction.shape} and target {target.shape} differ in shape.")
    windows_fit = min(target.shape) >= _SSIM_WINDOW
    return {
        "psnr_db": psnr(prediction, target, data_range),
        "ssim_3d": ssim_3d(prediction, target, data_range) if windows_fit else None,
        "ssim_slices": ssim_slices(prediction, target, data_range) if windows_fit else None,
        "vif": visual_information_fidelity(prediction, target, data_range),
    }


def _structural_similarity() -> Callable[..., float]:
    return require("skimage.metrics", "scikit-image", "structural similarity").structural_similarity

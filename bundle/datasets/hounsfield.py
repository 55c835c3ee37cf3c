"""Recognising Hounsfield units by what every CT shows: gas, and soft tissue about water."""

from __future__ import annotations

import numpy as np

from bundle.errors import InputError

__all__ = ["check_hounsfield_peaks", "histogram_peaks"]

_SAMPLES = 500_000
_BIN_HU = 20.0
_GAS_HU = (-1200.0, -600.0)  # air about the patient and lungs, with their noise
_TISSUE_HU = (-300.0, 500.0)  # fat to muscle, with the offsets of cone-beam scanners
_LEAST_SHARE = 0.01  # a tenth of the least that cropped limbs show


def check_hounsfield_peaks(values: np.ndarray, source: object) -> None:
    """Refuses intensities without air near -1000 or whose most common denser matter is not near water.

    It finds what the range of values does not tell, such as stored values whose offset was not (or twice) applied in a
    volume padded with some negative number. A sub-sample of half a million voxels decides.

    Args:
        values: [i, j, k] intensities.
        source: what they were read from, for the message.

    Raises:
        InputError: with the peaks that were found.
    """
    sample = _sub_sample(values)
    gas = float(np.mean((sample >= _GAS_HU[0]) & (sample <= _GAS_HU[1])))
    dense = sample[sample > _GAS_HU[1]]
    dense_peak = histogram_peaks(dense, count=1)
    remedy = "Convert it to HU (air -1000, water 0), or set check_hu to false if it is."
    found = ", ".join(f"{peak:.0f}" for peak in histogram_peaks(sample)) or "none"
    if gas < _LEAST_SHARE:
        raise InputError(
            source, f"has its peaks at {found}, and hardly any voxels near air (-1000), so these are not HU.", remedy
        )
    if dense.size < _LEAST_SHARE * sample.size or not _TISSUE_HU[0] <= dense_peak[0] <= _TISSUE_HU[1]:
        raise InputError(
            source, f"has its peaks at {found}, and none at soft tissue (-120 to 80), so these are not HU.", remedy
        )


def histogram_peaks(values: np.ndarray, count: int = 3) -> list[float]:
    """Most common values.

    Args:
        values: any shape.
        count: number of peaks.

    Returns:
        Centres of the highest local maxima of the histogram in bins of 20, or of 1/100 of the range where that is
        narrower than 100; the highest first.
    """
    if not values.size:
        return []
    low, high = float(values.min()), float(values.max())
    width = _BIN_HU if high - low >= 100 else max((high - low) / 100, 1e-9)
    indices = np.floor((values.ravel() - low) / width).astype(np.int64)
    bins, sizes = np.unique(indices, return_counts=True)
    neighbours = dict(zip(bins.tolist(), sizes.tolist()))
    maxima = [
        (size, position)
        for position, size in neighbours.items()
        if size >= neighbours.get(position - 1, 0) and size > neighbours.get(position + 1, 0)
    ]
    return [low + (position + 0.5) * width for _, position in sorted(maxima, reverse=True)[:count]]


def _sub_sample(values: np.ndarray) -> np.ndarray:
    step = max(1, round((values.size / _SAMPLES) ** (1 / values.ndim)))
    return values[(slice(None, None, step),) * values.ndim].astype(np.float32)

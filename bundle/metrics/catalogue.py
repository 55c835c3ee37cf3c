"""The figures of merit: what they are called, how they are told, and which values are the better ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

__all__ = ["DICE", "METRICS", "PSNR", "QUALITY", "STRUCTURE", "Metric"]


@dataclass(frozen=True)
class Metric:
    """A figure of merit.

    Args:
        key: its column in the result rows.
        name: what it is called.
        unit: its unit, empty if it has none.
        decimals: digits after the point that are told.
        more_is_better: whether larger values are better.
    """

    key: str
    name: str
    unit: str
    decimals: int
    more_is_better: bool

    @property
    def label(self) -> str:
        """Name and unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def best(self) -> Callable[[Iterable[float]], float]:
        """Picks the best of some values."""
        return max if self.more_is_better else min

    @property
    def worst(self) -> Callable[[Iterable[float]], float]:
        """Picks the worst of some values."""
        return min if self.more_is_better else max


PSNR = Metric("psnr_db", "PSNR", "dB", 2, True)
DICE = Metric("dice", "Dice", "", 3, True)
QUALITY = (
    PSNR,
    Metric("ssim_3d", "SSIM 3D", "", 3, True),
    Metric("ssim_slices", "SSIM slices", "", 3, True),
    Metric("vif", "VIF", "", 3, True),
)
"""Figures of whole volumes."""
STRUCTURE = (DICE, Metric("assd_mm", "ASSD", "mm", 2, False), Metric("hd95_mm", "HD95", "mm", 2, False))
"""Figures of structures."""
METRICS = {metric.key: metric for metric in (*QUALITY, *STRUCTURE)}
"""All of them by their column."""

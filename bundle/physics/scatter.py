"""Scattered radiation as a smooth addition to the measured intensities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from bundle.errors import InputError

__all__ = ["SHADOW_ATTENUATION", "SmoothScatter"]

SHADOW_ATTENUATION = 0.1
"""Attenuation from which on a pixel lies in the object's shadow, that of 5 mm of water."""


@dataclass(frozen=True)
class SmoothScatter:
    """Scatter by convolution with one wide kernel.

    A ray of primary intensity I = exp(-p) scatters in proportion to p I, which is nothing in air and little behind
    thick objects; the detector sees this blurred by a Gaussian (Ohnesorge, Flohr and Klingenbeck-Regn, European
    Radiology 9, 1999, with the amplitude set by the ratio below). The beam is taken to be collimated to the detector:
    nothing outside it scatters, and what scatters past its edge is lost.

    Args:
        scatter_to_primary: median of scatter over primary intensity in the object's shadow, over all views of a scan.
            Thicker parts get more than that, thinner ones less. Without metal the mean is much the same; a few rays
            through metal, whose ratio has no bound, would decide the mean alone.
        width_mm: standard deviation of the Gaussian, on the geometry's detector, even if that is a virtual one.

    Raises:
        InputError: when the ratio is negative or the width is not positive.
    """

    scatter_to_primary: float
    width_mm: float

    def __post_init__(self) -> None:
        if not 0 <= self.scatter_to_primary < math.inf:
            raise InputError("scatter.scatter_to_primary", f"is {self.scatter_to_primary}.", "Give at least zero.")
        if not 0 < self.width_mm < math.inf:
            raise InputError("scatter.width_mm", f"is {self.width_mm}.", "Give a positive number of millimetres.")

    def __call__(self, attenuation: torch.Tensor, pixel_mm: Sequence[float]) -> torch.Tensor:
        """Adds scatter.

        Args:
            attenuation: [..., views, V, U] p of the primary rays.
            pixel_mm: pixel pitch (v, u).

        Returns:
            [..., views, V, U] p = -ln(I + scatter), at most the primary's; the input itself for a ratio of zero.
        """
        if self.scatter_to_primary == 0:
            return attenuation
        # As logarithms, since exp(-p) of rays through metal is zero in single precision.
        return -torch.logaddexp(-attenuation, torch.log(self.intensity(attenuation, pixel_mm)))

    def intensity(self, attenuation: torch.Tensor, pixel_mm: Sequence[float]) -> torch.Tensor:
        """The scatter alone.

        Args:
            attenuation: [..., views, V, U] p of the primary rays.
            pixel_mm: pixel pitch (v, u).

        Returns:
            [..., views, V, U] scattered intensity, in units of the open beam; zero for a scan without an object.
        """
        scans = attenuation.reshape(-1, *attenuation.shape[-3:])
        return torch.stack([self._of_scan(scan, pixel_mm) for scan in scans]).reshape(attenuation.shape)

    def _of_scan(self, attenuation: torch.Tensor, pixel_mm: Sequence[float]) -> torch.Tensor:
        """The scatter of one scan [views, V, U]."""
        shadow = attenuation > SHADOW_ATTENUATION
        if not shadow.any():
            return torch.zeros_like(attenuation)
        blurred = self._blur((attenuation * torch.exp(-attenuation)).clamp(min=0.0), pixel_mm)
        smallest = torch.finfo(blurred.dtype).tiny  # a scan through nothing but metal has no scatter, and no logarithm
        log_ratio = (torch.log(blurred[shadow].clamp(min=smallest)) + attenuation[shadow]).median()
        return self.scatter_to_primary * torch.exp(-log_ratio) * blurred

    def _blur(self, source: torch.Tensor, pixel_mm: Sequence[float]) -> torch.Tensor:
        """Separable Gaussian, as two matrix products: the kernel is about as wide as the detector."""
        along_v, along_u = (
            self._kernel_matrix(size, pitch, source) for size, pitch in zip(source.shape[-2:], pixel_mm, strict=True)
        )
        return along_v @ source @ along_u

    def _kernel_matrix(self, size: int, pitch_mm: float, like: torch.Tensor) -> torch.Tensor:
        """[size, size] symmetric matrix of the Gaussian between pixels of one axis, not normalised."""
        position = torch.arange(size, device=like.device, dtype=like.dtype) * (pitch_mm / self.width_mm)
        return torch.exp(-0.5 * (position[:, None] - position) ** 2)

"""Filtering of projections along their rows."""

from __future__ import annotations

import math

import torch

__all__ = ["ramp_filter"]


def ramp_filter(
    projections: torch.Tensor, pitch_mm: torch.Tensor | float, hann_cut: float | None = None, extend: float = 0.0
) -> torch.Tensor:
    """Convolves rows with the band-limited ramp.

    The kernel is the ramp's in space (A. C. Kak and M. Slaney, Principles of Computerized Tomographic Imaging, 1988,
    equation 61 of chapter 3), so that its mean is right; a Hann window may damp its high frequencies.

    Args:
        projections: [..., U].
        pitch_mm: distance of samples, scaled to the axis of rotation: a number or [..., 1].
        hann_cut: fraction of the Nyquist frequency where the Hann window reaches zero; no window if None.
        extend: part of the row's width by which truncated rows are continued on both sides, falling to zero.

    Returns:
        [..., U] filtered rows, in value per mm.
    """
    columns = projections.shape[-1]
    margin = math.ceil(extend * columns)
    if margin:
        projections = _extended(projections, margin)
    width = projections.shape[-1]
    length = 1 << (2 * width - 1).bit_length()  # no wrap-around
    n = torch.arange(length, device=projections.device)
    distance = torch.minimum(n, length - n)
    kernel = torch.where(distance % 2 == 1, -1.0 / (math.pi * distance.clamp(min=1).double()) ** 2, 0.0)
    kernel[0] = 0.25
    response = torch.fft.rfft(kernel).real
    if hann_cut is not None:
        frequency = torch.arange(len(response), device=projections.device) / (len(response) - 1)
        window = 0.5 * (1.0 + torch.cos(math.pi * frequency / hann_cut))
        response = torch.where(frequency <= hann_cut, response * window, 0.0)
    spectrum = torch.fft.rfft(projections, n=length, dim=-1) * response.to(projections.dtype)
    filtered = torch.fft.irfft(spectrum, n=length, dim=-1)[..., margin : margin + columns]
    return filtered / pitch_mm


def _extended(projections: torch.Tensor, margin: int) -> torch.Tensor:
    """Continues rows by their outermost values, tapered by a squared cosine."""
    steps = torch.arange(1, margin + 1, device=projections.device, dtype=projections.dtype) / (margin + 1)
    taper = torch.cos(math.pi / 2 * steps) ** 2
    return torch.cat([projections[..., :1] * taper.flip(0), projections, projections[..., -1:] * taper], dim=-1)

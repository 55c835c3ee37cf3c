"""What every projection image's header is read into, and the checks that all formats share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bundle.memory_bound import unpacks_too_far

__all__ = ["DamagedError", "Header", "check_length", "check_unpacked", "stated_pixel"]


@dataclass(frozen=True)
class Header:
    """What a file says before its pixels: shape (frames, v, u), and both (v, u) lengths if it states them."""

    shape: tuple[int, int, int]
    pixel_mm: tuple[float, float] | None = None
    first_pixel_mm: tuple[float, float] | None = None


class DamagedError(Exception):
    """A header that contradicts its file; becomes an InputError that names the file."""


def stated_pixel(pixel_v: float, pixel_u: float) -> tuple[float, float] | None:
    """The pixel size, or None if it cannot be one (zero in headers that were not filled in)."""
    possible = all(np.isfinite(p) and 1e-4 < p < 100.0 for p in (pixel_v, pixel_u))
    return (float(pixel_v), float(pixel_u)) if possible else None


def check_length(length: int, needed: int) -> None:
    """Refuses a file that is shorter than its header says."""
    if length < needed:
        raise DamagedError(f"{length} bytes where {needed} are needed")


def check_unpacked(unpacked: int, packed: int) -> None:
    """Refuses compressed pixels that would fill the memory from a small file."""
    if unpacks_too_far(unpacked, packed):
        raise DamagedError(f"it announces {unpacked / 1e9:.3g} GB of pixels in {packed} bytes")

"""Detectors that are narrower than the body's shadow."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bundle.errors import InputError

__all__ = ["DetectorTruncation"]


@dataclass(frozen=True)
class DetectorTruncation:
    """Measures the central columns of a detector alone.

    The others repeat the nearest measured column of their row, which is the most that a scanner's software does without
    a model of what lies outside: better than zeros, whose edge would cause bright rings.

    Args:
        share: measured share of the detector's width, above 0 and at most 1. Columns count as measured whose centres
            lie within it, so that the same number is lost on either side.

    Raises:
        InputError: when the share is outside of that.
    """

    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError("truncation.share", f"is {self.share}.", "Give a share above 0 and at most 1.")

    def __call__(self, projections: torch.Tensor) -> torch.Tensor:
        """Truncates projections.

        Args:
            projections: [..., V, U], in any unit.

        Returns:
            The same shape.

        Raises:
            InputError: when no column lies within the share.
        """
        columns = torch.arange(projections.shape[-1], device=projections.device)
        offsets = (columns - (len(columns) - 1) / 2).abs()
        measured = columns[offsets <= self.share * len(columns) / 2]
        if not len(measured):
            raise InputError("truncation.share", f"leaves no column of {len(columns)}.", "Give a larger share.")
        return projections[..., columns.clamp(measured[0], measured[-1])]

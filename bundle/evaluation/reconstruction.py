"""One reconstruction to be evaluated, and where its files are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bundle.evaluation.perturbations import UNPERTURBED, Perturbation

__all__ = ["Reconstruction"]


@dataclass(frozen=True)
class Reconstruction:
    """A volume that was reconstructed, and the truth that it is compared with.

    Args:
        case: name of the case.
        method: what reconstructed it.
        views: number of views that were planned.
        volume: the reconstruction, in HU.
        truth: the truth, in HU.
        labels: label map of the truth, or the folder or URL of a prepared case that has one; None if there is none.
        perturbation: what was wrong with the scan.
        quality: image quality and provenance as columns, where known already.
        is_given: whether it is somebody's file, which may hold anything; otherwise it was reconstructed here.
    """

    case: str
    method: str
    views: int
    volume: Path
    truth: Path
    labels: str | Path | None = None
    perturbation: Perturbation = UNPERTURBED
    quality: Mapping[str, Any] = field(default_factory=dict)
    is_given: bool = True

    @property
    def keys(self) -> dict[str, Any]:
        """The first columns of its rows in every table."""
        return {"case": self.case, "method": self.method, "views": self.views, **self.perturbation.keys}

    @property
    def stem(self) -> str:
        """A name for its results, which no other reconstruction has."""
        return f"{self.perturbation.folder}/{self.case}/{self.case}_{self.views}views_{self.method}"

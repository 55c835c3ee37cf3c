"""What an evaluation found, as the report takes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bundle.errors import InputError

__all__ = ["Findings", "Picture", "check_findings"]

_CASE_KEYS = ("case", "method", "views", "perturbation", "level", "unit")
_GROUP_KEYS = ("perturbation", "level", "unit", "views", "method", "reference", "structure")
_COLUMNS = {
    "quality": (*_CASE_KEYS, "psnr_db", "ssim_3d", "ssim_slices", "vif"),
    "structures": (
        *_CASE_KEYS,
        *("reference", "structure", "found", "dice", "assd_mm", "hd95_mm", "volume_ml", "reference_volume_ml"),
    ),
    "summary": (*_GROUP_KEYS, "metric", "mean", "low", "high", "n", "undefined"),
    "comparisons": (*_GROUP_KEYS, "metric", "other", "difference", "low", "high", "p_value", "n", "test"),
    "agreement": (*_GROUP_KEYS, "n", "bias_ml", "lower_ml", "upper_ml", "bias_low_ml", "bias_high_ml"),
    "residuals": ("case", "method", "views", "angle_deg", "relative"),
}


@dataclass(frozen=True)
class Picture:
    """One reconstruction to look at, beside its truth.

    The four volumes lie on one grid, in any orientation.

    Args:
        case: name of the case.
        method: name of the method.
        views: number of views.
        perturbation: "none", or what was done to the scan.
        level: how much of it; None where it has no levels.
        unit: of the level.
        volume: NIfTI file of the reconstruction, [X, Y, Z] HU.
        truth: NIfTI file of the truth, [X, Y, Z] HU.
        mask: NIfTI file of the reconstruction's label map, [X, Y, Z].
        reference_mask: NIfTI file of the label map that it is compared with, [X, Y, Z].
        hu_window: HU that are drawn black and white.
        caption: a sentence below the pictures.
    """

    case: str
    method: str
    views: int
    perturbation: str
    level: float | None
    unit: str
    volume: Path
    truth: Path
    mask: Path
    reference_mask: Path
    hu_window: tuple[float, float]
    caption: str = ""


@dataclass(frozen=True)
class Findings:
    """Everything that a report tells.

    The rows are plain dicts; their values may be text, as a CSV file gives them. An undefined value is None or empty.
    Every list may be empty.

    Args:
        title: heading of the report.
        method: the method in focus, which comes first everywhere.
        settings: provenance: the segmenter's own description, checksums, geometry, the command; may be nested.
            "created", if there, is the date that the report bears.
        versions: versions of packages by name.
        policy: what an empty mask does to the figures, in words.
        quality: one row for each reconstruction: image quality.
        structures: one row for each reconstruction, reference and structure: overlap, distances and volumes.
        summary: means with their intervals.
        comparisons: paired comparisons of methods.
        agreement: Bland-Altman figures of the volumes.
        residuals: one row for each reconstruction and view.
        pictures: reconstructions that can be drawn.
        problems: sentences that the reader must know.
    """

    title: str
    method: str
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    policy: str = ""
    quality: list[dict[str, Any]] = field(default_factory=list)
    structures: list[dict[str, Any]] = field(default_factory=list)
    summary: list[dict[str, Any]] = field(default_factory=list)
    comparisons: list[dict[str, Any]] = field(default_factory=list)
    agreement: list[dict[str, Any]] = field(default_factory=list)
    residuals: list[dict[str, Any]] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def check_findings(findings: Findings) -> None:
    """Refuses rows that lack what the report needs, and pictures that are not there.

    Raises:
        InputError: naming the table, row and column, or the file.
    """
    for table, columns in _COLUMNS.items():
        for position, row in enumerate(getattr(findings, table), start=1):
            missing = [name for name in columns if name not in row]
            if missing:
                raise InputError(
                    f"row {position} of the table {table}", f"lacks {', '.join(missing)}.", "Evaluate the cases again."
                )
    for picture in findings.pictures:
        for path in (picture.volume, picture.truth, picture.mask, picture.reference_mask):
            if not Path(path).is_file():
                raise InputError(path, "does not exist.", "Evaluate the case again, or report without its picture.")
        low, high = picture.hu_window
        if not low < high:
            raise InputError(f"the picture of {picture.case}", f"has the HU window {low}..{high}.", "Give low < high.")

"""What an evaluation found, as the report takes it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from bundle.errors import InputError
from bundle.metrics.catalogue import QUALITY, STRUCTURE
from bundle.report.numbers import number
from bundle.tables import printable

__all__ = ["Findings", "Picture", "check_findings", "printable_findings"]

_CASE_KEYS = ("case", "method", "perturbation", "unit")
_GROUP_KEYS = ("perturbation", "unit", "method", "reference", "structure")
_NUMBERS = {
    # table: columns that hold numbers
    "quality": ("level", *(metric.key for metric in QUALITY)),
    "structures": ("level", *(metric.key for metric in STRUCTURE), "volume_ml", "reference_volume_ml"),
    "summary": ("level", "mean", "low", "high", "n", "undefined"),
    "comparisons": ("level", "difference", "low", "high", "p_value", "n"),
    "agreement": ("level", "n", "bias_ml", "lower_ml", "upper_ml", "bias_low_ml", "bias_high_ml"),
    "residuals": ("angle_deg", "relative"),
}
_TEXTS = {
    # table: its other columns but views, which is a whole number
    "quality": _CASE_KEYS,
    "structures": (*_CASE_KEYS, "reference", "structure", "found"),
    "summary": (*_GROUP_KEYS, "metric"),
    "comparisons": (*_GROUP_KEYS, "metric", "other", "test"),
    "agreement": _GROUP_KEYS,
    "residuals": ("case", "method"),
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
        volume: file of the reconstruction, [X, Y, Z] HU, of any kind that is scored.
        truth: file of the truth, [X, Y, Z] HU, or its folder of DICOM slices.
        mask: file of the reconstruction's label map, [X, Y, Z].
        reference_mask: file of the label map that it is compared with, [X, Y, Z].
        hu_window: HU that are drawn black and white.
        caption: a sentence below the pictures.
        structures: names of the structures by their value in both label maps; those without one are told by number.
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
    structures: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Findings:
    """Everything that a report tells.

    The rows are plain dicts; their values may be text, as a CSV file gives them. An undefined value is None or empty;
    an infinite one is infinite, or "inf". Every list may be empty.

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
    for table, numbers in _NUMBERS.items():
        for position, row in enumerate(getattr(findings, table), start=1):
            source = f"row {position} of the table {table}"
            missing = [name for name in ("views", *_TEXTS[table], *numbers) if name not in row]
            if missing:
                raise InputError(source, f"lacks {', '.join(missing)}.", "Evaluate the cases again.")
            _check_numbers(row, numbers, source)
    for picture in findings.pictures:
        for path in (picture.volume, picture.truth, picture.mask, picture.reference_mask):
            if not Path(path).exists():
                raise InputError(path, "does not exist.", "Evaluate the case again, or report without its picture.")
        low, high = picture.hu_window
        if not low < high:
            raise InputError(f"the picture of {picture.case}", f"has the HU window {low}..{high}.", "Give low < high.")


def printable_findings(findings: Findings) -> Findings:
    """The same with all texts as a page can hold them: names of files need not be characters."""
    texts = {part.name: printable(getattr(findings, part.name)) for part in fields(findings)}
    pictures = [replace(one, **_named(printable(vars(one)))) for one in findings.pictures]
    return replace(findings, **{**texts, "pictures": pictures})


def _named(picture: dict[str, Any]) -> dict[str, Any]:
    """What is told of a picture; its files keep their names."""
    return {name: picture[name] for name in ("case", "method", "perturbation", "unit", "caption", "structures")}


def _check_numbers(row: Mapping[str, Any], names: tuple[str, ...], source: str) -> None:
    for name in ("views", *names):
        try:
            found = number(row[name])
        except (TypeError, ValueError):
            raise InputError(source, f"has {row[name]!r} as {name}.", "Give a number, or nothing.") from None
        if name in ("views", "n", "undefined") and (found is None or not math.isfinite(found)):
            raise InputError(source, f"has {row[name]!r} as {name}.", "Give a whole number.")

"""The row of a case in the table."""

from __future__ import annotations

from typing import Any

import numpy as np

from bundle.inspection.contents import CaseContents
from bundle.inspection.listing import ListedCase

__all__ = ["AIR_BELOW_HU", "COLUMNS", "make_row", "printed"]

AIR_BELOW_HU = -900.0
"""What counts as air; lungs are above it."""
COLUMNS = {
    "case": "case",
    "section": "section",
    "patient": "patient",
    "voxels": "voxels",
    "voxel_mm": "voxel mm",
    "hu_1": "HU 1 %",
    "hu_50": "50 %",
    "hu_99": "99 %",
    "air": "air",
    "views": "views",
    "projection_min": "proj. from",
    "projection_max": "to",
    "bytes": "MB",
    "checksums": "checksums",
    "problem": "problem",
}
"""Headings of the printed table by columns of table.csv."""


def make_row(case: ListedCase, contents: CaseContents | None, checksums: str, problem: str) -> dict[str, Any]:
    """The row of a case.

    Args:
        case: its entry in the listing.
        contents: None where it cannot be read.
        checksums: whether those of its files hold.
        problem: what is wrong with it; empty if nothing is.

    Returns:
        Values by the names of COLUMNS: HU percentiles, air as a fraction of the voxels, and bytes of all its files.
    """
    row: dict[str, Any] = dict.fromkeys(COLUMNS, "")
    files = [path for path in case.folder.glob("*") if path.is_file()]
    row.update(case=case.name, section=case.section, patient=case.patient)
    row.update(bytes=sum(path.stat().st_size for path in files), checksums=checksums, problem=problem)
    if contents is None:
        return row
    hu = contents.hu
    low, middle, high = (round(float(value), 1) for value in np.percentile(hu, (1, 50, 99)))
    row.update(hu_1=low, hu_50=middle, hu_99=high, air=round(float((hu < AIR_BELOW_HU).mean()), 4))
    row.update(
        voxels=_sizes(contents.volume.shape),
        voxel_mm=_sizes(contents.geometry.voxel_mm),
        views=contents.geometry.num_views,
        projection_min="not stored",
        projection_max="",
    )
    if contents.projection_range is not None:
        least, largest = contents.projection_range
        row.update(projection_min=round(least, 4), projection_max=round(largest, 4))
    return row


def printed(row: dict[str, Any]) -> dict[str, str]:
    """A row as the printed table has it: shorter numbers, in MB and percent."""
    texts = {
        name: f"{value:.0f}" if name.startswith("hu_") and value != "" else str(value) for name, value in row.items()
    }
    texts["bytes"] = f"{row['bytes'] / 1e6:.1f}"
    if row["air"] != "":
        texts["air"] = f"{100 * row['air']:.0f} %"
    for name in ("projection_min", "projection_max"):
        if isinstance(row[name], float):
            texts[name] = f"{row[name]:.2f}"
    return texts


def _sizes(numbers: tuple[float, ...]) -> str:
    return " x ".join(f"{number:.6g}" for number in numbers)

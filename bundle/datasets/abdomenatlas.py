"""AbdomenAtlas 1.0 Mini: CT of abdomens from many hospitals, one folder per case."""

from __future__ import annotations

from pathlib import Path

from bundle.datasets.raw_case import RawCase, RawFile
from bundle.errors import InputError

__all__ = ["LAYOUT", "find"]

LAYOUT = "folders such as BDMAP_00000001 with ct.nii.gz and combined_labels.nii.gz"


def find(source: Path) -> list[RawCase]:
    """One case per folder BDMAP_*, in the source or in a folder of it; the label is optional."""
    cases = []
    for folder in sorted([*source.glob("BDMAP_*"), *source.glob("*/BDMAP_*")]):
        if not folder.is_dir():
            continue
        image, label = folder / "ct.nii.gz", folder / "combined_labels.nii.gz"
        problem = None if image.is_file() else InputError(folder, "has no ct.nii.gz.", "Download it again.")
        cases.append(
            RawCase(folder.name, folder.name, RawFile(image), RawFile(label) if label.is_file() else None, problem)
        )
    return cases

"""AbdomenAtlas 1.0 Mini: CT of abdomens from many hospitals, one folder per case."""

from __future__ import annotations

import os
from pathlib import Path

from bundle.datasets.raw_case import RawCase, RawFile
from bundle.datasets.source_tree import folder_problem, unusable
from bundle.errors import InputError

__all__ = ["LAYOUT", "find"]

LAYOUT = "folders such as BDMAP_00000001 with ct.nii.gz and combined_labels.nii.gz"


def find(source: Path) -> list[RawCase]:
    """One case per folder BDMAP_*, in the source or in a folder of it; the label is optional."""
    cases, places = [], [source]
    for folder in sorted(source.iterdir()):
        if folder.name.startswith((".", "BDMAP_")) or os.path.isfile(folder):
            continue
        problem = folder_problem(folder)
        if problem:
            cases.append(unusable(folder, problem))
        else:
            places.append(folder)
    for folder in sorted(path for place in places for path in place.glob("BDMAP_*")):
        if os.path.isfile(folder):
            continue
        image, label = folder / "ct.nii.gz", folder / "combined_labels.nii.gz"
        problem = folder_problem(folder)
        if not (problem or os.path.isfile(image)):
            problem = InputError(folder, "has no ct.nii.gz.", "Download it again.")
        cases.append(
            RawCase(
                folder.name, folder.name, RawFile(image), RawFile(label) if os.path.isfile(label) else None, problem
            )
        )
    return cases

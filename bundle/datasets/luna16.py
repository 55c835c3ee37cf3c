"""LUNA16: chest CT, subset0 to subset9 with MetaImage files."""

from __future__ import annotations

from pathlib import Path

from bundle.data.ct_formats import case_name
from bundle.datasets.raw_case import RawCase, RawFile
from bundle.datasets.source_tree import search

__all__ = ["LAYOUT", "find"]

LAYOUT = "subset0 to subset9 with .mhd and .raw files"


def find(source: Path) -> list[RawCase]:
    """One case per .mhd file below a subset; each series is of another patient."""
    tree = search(source)
    found = [RawCase(case_name(path), case_name(path), RawFile(path)) for path in tree.files(".mhd")]
    return [
        case
        for case in (*found, *tree.problems)
        if case.image.path.relative_to(source).parts[0].lower().startswith("subset")
    ]

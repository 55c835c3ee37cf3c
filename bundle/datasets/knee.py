"""Knee CT of Lin et al. (2023): MetaImage files of left and right knees whose lengths are in metres."""

from __future__ import annotations

import re
from pathlib import Path

from bundle.data.ct_formats import case_name
from bundle.datasets.raw_case import RawCase, RawFile, RawVolume
from bundle.datasets.reading import read_case
from bundle.datasets.source_tree import search

__all__ = ["LAYOUT", "find", "read"]

LAYOUT = "folders FL, FR, ML and MR of .mhd files, or .mhd files with names that start so"
METRE_MM = 1000.0

_KNEE = re.compile(r"([FM])[LR](?![A-Za-z])(.*)", flags=re.IGNORECASE)


def find(source: Path) -> list[RawCase]:
    """One case per .mhd file of a knee; both knees of one number are of one patient."""
    tree = search(source)
    cases = list(tree.problems)
    for path in tree.files(".mhd"):
        name = case_name(path)
        if not _KNEE.fullmatch(name):
            side = next((part for part in reversed(path.relative_to(source).parts[:-1]) if _is_side(part)), None)
            if side is None:
                continue
            name = f"{side}_{name}"
        cases.append(RawCase(name, _patient(name), RawFile(path)))
    return cases


def read(case: RawCase, check_hu: bool = True) -> RawVolume:
    """Reads a case, spacing and offset of which are in metres.

    Raises:
        InputError: as :func:`bundle.datasets.reading.read_case`.
    """
    return read_case(case, check_hu, unit_mm=METRE_MM)


def _is_side(folder: str) -> bool:
    return folder.upper() in ("FL", "FR", "ML", "MR")


def _patient(name: str) -> str:
    """The sex and the number, without the side and however the number is padded."""
    number = name[2:].strip("_- ")
    return f"{name[0].upper()}{number.lstrip('0') or number}"

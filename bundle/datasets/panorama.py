"""PANORAMA: contrast-enhanced CT of the abdomen with labels about the pancreas."""

from __future__ import annotations

import re
from pathlib import Path

from bundle.data.ct_formats import NIFTI_SUFFIXES, case_name
from bundle.datasets.labels import with_label
from bundle.datasets.raw_case import RawCase, RawFile
from bundle.datasets.source_tree import outside_problem, search, unusable
from bundle.paths import is_inside

__all__ = ["LAYOUT", "find"]

LAYOUT = "images with names such as 100000_00001_0000.nii.gz, and labels such as 100000_00001.nii.gz"


def find(source: Path) -> list[RawCase]:
    """One case per image, named by patient and study, with the label of that name."""
    images, cases = _files(source, "images")
    labels, problems = _files(source, "labels")
    by_name: dict[str, list[RawFile]] = {}
    for path in labels:
        by_name.setdefault(_study(path), []).append(RawFile(path))
    for path in images:
        name = _study(path)
        case = RawCase(name, name.split("_")[0], RawFile(path))
        cases.append(with_label(case, by_name.get(name, []), needed=True))
    return cases + problems


def _files(source: Path, kind: str) -> tuple[list[Path], list[RawCase]]:
    """Files below one of the two folders, and its parts that cannot be used."""
    folder = source / kind
    if not is_inside(folder, source):
        return [], [unusable(folder, outside_problem(folder))]
    tree = search(folder, source)
    return list(tree.files(*NIFTI_SUFFIXES)), tree.problems


def _study(path: Path) -> str:
    """Name without the number of the channel, patient_study."""
    return re.sub(r"^([^_]+_[^_]+)_\d{4}$", r"\1", case_name(path))

"""The data sets that can be prepared, and finding the cases of one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle.datasets import abdomenatlas, any_folder, knee, luna16, panorama, pengwin, toothfairy
from bundle.datasets.case_checks import with_problems
from bundle.datasets.raw_case import RawCase, RawVolume
from bundle.datasets.reading import read_case
from bundle.datasets.source_tree import folder_problem, linked_copies
from bundle.errors import InputError

__all__ = ["DATASETS", "DataSet", "find_cases"]


@dataclass(frozen=True)
class DataSet:
    """What is particular to a data set.

    Args:
        name: how it is asked for.
        title: how it is called.
        layout: what its folder holds as downloaded.
        preset: scan that it was published with, a name in configs/presets.
        find: lists the cases below a folder.
        read: reads a case; whether intensities that cannot be HU are refused is its second argument.
        centre: "volume" or "label", what the field of view is centred on.
        axial_window_mm: length of the overlapping sub-volumes that long cases are cut into; not cut if None.
        counts: cases of the sections training, validation and test as published, where they are.
        fractions: shares of the sections where counts are not published.
    """

    name: str
    title: str
    layout: str
    preset: str
    find: Callable[[Path], list[RawCase]]
    read: Callable[[RawCase, bool], RawVolume]
    centre: str = "volume"
    axial_window_mm: float | None = None
    counts: Mapping[str, int] | None = None
    fractions: Mapping[str, float] | None = None


def _sections(training: float, validation: float, test: float) -> dict[str, Any]:
    return {"training": training, "validation": validation, "test": test}


DATASETS: dict[str, DataSet] = {
    dataset.name: dataset
    for dataset in (
        DataSet(
            "luna16",
            "LUNA16 (chest)",
            luna16.LAYOUT,
            "luna16",
            luna16.find,
            read_case,
            counts=_sections(738, 50, 100),
        ),
        DataSet(
            "toothfairy",
            "ToothFairy (head, cone beam)",
            toothfairy.LAYOUT,
            "toothfairy",
            toothfairy.find,
            toothfairy.read,
            counts=_sections(343, 25, 75),
        ),
        DataSet(
            "panorama",
            "PANORAMA (abdomen)",
            panorama.LAYOUT,
            "panorama",
            panorama.find,
            read_case,
            centre="label",
            counts=_sections(1244, 200, 600),
        ),
        DataSet(
            "pengwin",
            "PENGWIN (pelvis)",
            pengwin.LAYOUT,
            "pengwin",
            pengwin.find,
            read_case,
            centre="label",
            counts=_sections(60, 10, 30),
        ),
        DataSet(
            "knee",
            "Knee, Lin et al. 2023",
            knee.LAYOUT,
            "knee",
            knee.find,
            knee.read,
            counts=_sections(464, 50, 100),
        ),
        DataSet(
            "abdomenatlas",
            "AbdomenAtlas 1.0 Mini (pretraining)",
            abdomenatlas.LAYOUT,
            "abdomenatlas",
            abdomenatlas.find,
            read_case,
            axial_window_mm=384.0,
            fractions=_sections(0.95, 0.05, 0.0),
        ),
        DataSet(
            "folder",
            "any folder of CT",
            any_folder.LAYOUT,
            "luna16",
            any_folder.find,
            read_case,
            fractions=_sections(0.8, 0.1, 0.1),
        ),
    )
}
"""The data sets by name."""


def find_cases(dataset: str, source: str | os.PathLike, labels: bool = True) -> list[RawCase]:
    """Lists the cases of a data set as downloaded.

    Cases that cannot be used are listed with their problem: a name that cannot be a file's, two cases of one name, a
    link out of the source, data that are missing beside their header, a damaged archive, a folder that may not be
    read. A link to a file that is found, too, is no second case.

    Args:
        dataset: one of DATASETS.
        source: folder of the download.
        labels: whether their label maps will be used; otherwise what is wrong with these is no problem.

    Returns:
        The cases, sorted by name.

    Raises:
        InputError: when there is no such data set, the source is not a folder or may not be read, or it holds no case.
    """
    if dataset not in DATASETS:
        raise InputError(f"dataset {dataset!r}", "is not known.", f"Use one of {', '.join(DATASETS)}.")
    known = DATASETS[dataset]
    if not Path(source).is_dir():
        raise InputError(f"source {source}", "is not a folder.", f"Give the folder of {known.title}: {known.layout}.")
    folder = Path(source).resolve()
    problem = folder_problem(folder)
    if problem:
        raise problem
    found = known.find(folder)
    copies = linked_copies(case.image for case in found)
    cases = [case for case in found if case.image not in copies]
    if not cases:
        raise InputError(f"source {source}", f"holds no case of {known.title}.", f"It must hold {known.layout}.")
    return sorted(with_problems(cases, folder, labels), key=lambda case: (case.name, str(case.image)))

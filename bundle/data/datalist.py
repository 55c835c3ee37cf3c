"""Lists of cases."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai.data import load_decathlon_datalist

from bundle.data.ct_volume import case_name
from bundle.errors import InputError

__all__ = ["load_datalist", "with_view_counts"]

_SUFFIXES = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr")


def load_datalist(dataset_dir: str | os.PathLike, section: str, repeats: int = 1) -> list[dict[str, Any]]:
    """Lists the cases of one section of a data set.

    A folder with a dataset.json (MONAI's datalist form: sections of {"image": path}, and "projections" where stored)
    is taken at its word. In any other folder every CT file is a case of every section, and a warning says so.

    Args:
        dataset_dir: the folder.
        section: "training", "validation" or "test".
        repeats: times that each case occurs in an epoch.

    Returns:
        Items with absolute paths, and a "case" name each.

    Raises:
        InputError: when the folder, the section or all cases are missing, a case is listed twice, or only some have
            projections.
    """
    folder = Path(dataset_dir)
    if not folder.is_dir():
        raise InputError(f"dataset_dir {folder}", "is not a folder.", "Give the folder with the CT volumes.")
    listing = folder / "dataset.json"
    if listing.is_file():
        try:
            sections = sorted(json.loads(listing.read_text(encoding="utf-8")))
        except json.JSONDecodeError as error:
            raise InputError(listing, f"is not valid JSON ({error}).", "Mend the file.") from error
        if section not in sections:
            raise InputError(listing, f"has no section {section!r}.", f"It has {', '.join(sections)}.")
        cases = load_decathlon_datalist(str(listing), is_segmentation=False, data_list_key=section)
    else:
        files = sorted(path for path in folder.iterdir() if path.name.lower().endswith(_SUFFIXES))
        cases = [{"image": str(path)} for path in files]
        logging.getLogger(__name__).warning(
            "%s has no dataset.json: all %d volumes serve as %s cases.", folder, len(cases), section
        )
    if not cases:
        raise InputError(
            f"dataset_dir {folder}", f"has no {section} cases.", f"Put volumes there ({', '.join(_SUFFIXES)})."
        )
    if 0 < sum("projections" in case for case in cases) < len(cases):
        raise InputError(
            listing,
            f"has {section} cases with and without projections.",
            "Store projections of all of them, or of none.",
        )
    named = [{**case, "case": name} for case, name in zip(cases, case_names([case["image"] for case in cases], folder))]
    return [dict(case) for case in named for _ in range(repeats)]


def case_names(paths: Sequence[str], folder: Path) -> list[str]:
    """Short names of cases that no two of them share.

    The file name without its suffixes; where files of different folders share it, the path from the data set's folder
    with underscores for separators.

    Raises:
        InputError: when a file occurs twice.
    """
    repeated = sorted({path for path in paths if paths.count(path) > 1}) if len(set(paths)) < len(paths) else []
    if repeated:
        raise InputError(folder, f"lists {', '.join(repeated)} more than once.", "List every case once.")
    short = [case_name(path) for path in paths]
    if len(set(short)) == len(short):
        return short
    return [case_name(os.path.relpath(path, folder).replace(os.sep, "_")) for path in paths]


def with_view_counts(cases: Sequence[dict[str, Any]], view_counts: Sequence[int]) -> list[dict[str, Any]]:
    """Every case once for every number of sparse views."""
    return [{**case, "num_sparse": int(count)} for case in cases for count in view_counts]

"""Lists of cases."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai.data import load_decathlon_datalist

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
        Items with absolute paths.

    Raises:
        InputError: when the folder, the section or all cases are missing.
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
    return [dict(case) for case in cases for _ in range(repeats)]


def with_view_counts(cases: Sequence[dict[str, Any]], view_counts: Sequence[int]) -> list[dict[str, Any]]:
    """Every case once for every number of sparse views."""
    return [{**case, "num_sparse": int(count)} for case in cases for count in view_counts]

"""Inspecting a prepared data set, case by case."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bundle.atomic import check_output
from bundle.errors import find_input_error
from bundle.inspection.contents import CaseContents, read_contents
from bundle.inspection.listing import Files, ListedCase, check_files, list_cases, recorded_files
from bundle.inspection.sheets import case_sheet, overview_sheet, require_drawing, save_sheet
from bundle.inspection.summary import make_row
from bundle.tables import write_rows
from bundle.visual import plane

__all__ = ["OVERVIEW", "TABLE", "inspect_dataset"]

TABLE, OVERVIEW = "table.csv", "overview.png"
_OVERVIEW_CASES = 24


def inspect_dataset(
    source: Path,
    output: Path,
    names: Collection[str] | None = None,
    overwrite: bool = False,
    show: Callable[[dict[str, Any]], None] = lambda row: None,
) -> list[dict[str, Any]]:
    """Looks at every case of a prepared data set; a case that cannot be read is a row with its problem.

    Writes a contact sheet for each case as soon as it is read, then table.csv and overview.png. One case is in memory
    at a time.

    Args:
        source: folder of the prepared set.
        output: folder for table and sheets.
        names: cases to look at; all if None.
        overwrite: replace what an earlier inspection wrote there.
        show: called with the row of every case.

    Returns:
        The rows, with the columns of :data:`bundle.inspection.summary.COLUMNS`.

    Raises:
        InputError: when the folder is no prepared set, has not the cases, or the output exists or cannot be written.
    """
    require_drawing()
    listed = list_cases(source, names)
    for name in (TABLE, OVERVIEW, *(f"{case.name}.png" for case in listed if _can_be_drawn(case, listed))):
        check_output(output / name, overwrite)
    recorded = recorded_files(source)
    rows: list[dict[str, Any]] = []
    slices: list[tuple[ListedCase, np.ndarray, float]] = []
    for case in listed:
        contents, problem = _try_to_read(case, listed)
        checksums, wrong_files = ("", "") if case.problem else _verify(source, recorded.get(case.name))
        told = "; ".join(text.rstrip(".") for text in (problem, wrong_files) if text)
        row = make_row(case, contents, checksums, told)
        rows.append(row)
        show(row)
        if contents is None:
            continue
        save_sheet(case_sheet(case, contents, told), output / f"{case.name}.png")
        if len(slices) < _OVERVIEW_CASES:
            image, ratio = plane(contents.volume, "coronal", contents.geometry.voxel_mm)
            slices.append((case, image.copy(), ratio))
    write_rows(rows, output / TABLE)
    if slices:
        save_sheet(overview_sheet(slices), output / OVERVIEW)
    return rows


def _verify(source: Path, files: Files | None) -> tuple[str, str]:
    """Whether a case's checksums hold, and what is wrong with its files."""
    if files is None:
        return "unknown", "no record of its checksums"
    wrong = check_files(source, files)
    return "fail" if wrong else "hold", wrong


def _can_be_drawn(case: ListedCase, listed: Sequence[ListedCase]) -> bool:
    """Whether a case's name can be that of a contact sheet of its own."""
    alone = sum(other.name == case.name for other in listed) == 1
    return alone and Path(case.name).name == case.name and f"{case.name}.png" != OVERVIEW


def _try_to_read(case: ListedCase, listed: Sequence[ListedCase]) -> tuple[CaseContents | None, str]:
    """A case's contents, or why there are none."""
    if case.problem:
        return None, case.problem
    if not _can_be_drawn(case, listed):
        return None, "its name cannot be that of a contact sheet of its own"
    try:
        return read_contents(case.folder), ""
    except Exception as error:  # damaged files raise many kinds, and the other cases are to be seen all the same
        told = find_input_error(error)
        return None, " ".join(str(told or f"{type(error).__name__}: {error}").split())

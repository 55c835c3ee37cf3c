"""What applies to the cases of every data set: names, uniqueness, and staying inside the source."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bundle.case_names import name_fault
from bundle.datasets.raw_case import RawCase
from bundle.datasets.source_tree import outside_problem
from bundle.datasets.sources import source_files
from bundle.errors import InputError
from bundle.paths import is_inside

__all__ = ["with_problems"]


def with_problems(cases: Sequence[RawCase], source: Path, labels: bool = True) -> list[RawCase]:
    """The cases, each with its first problem.

    Args:
        cases: cases as found; those with a problem keep it.
        source: resolved folder that no file may lie outside of.
        labels: whether their label maps will be used; otherwise what is wrong with these is no problem.
    """
    by_name: dict[str, list[RawCase]] = defaultdict(list)
    for case in cases:
        if case.is_case:
            by_name[case.name].append(case)
    return [
        case if case.problem else replace(case, problem=_problem(case, by_name[case.name], source, labels))
        for case in cases
    ]


def _problem(case: RawCase, namesakes: Sequence[RawCase], source: Path, labels: bool) -> InputError | None:
    fault = name_fault(case.name)
    if fault:
        return InputError(case.image, f"gives a case the name {case.name!r}, which {fault}.", "Rename it.")
    if len(namesakes) > 1:
        images = " and ".join(str(each.image) for each in namesakes)
        return InputError(images, f"are {len(namesakes)} cases of one name, {case.name}.", "Rename all but one.")
    if not labels:
        case = replace(case, label=None)
    elif case.label_problem:
        return case.label_problem
    # Links first: what lies elsewhere is none of ours to open.
    for raw in (case.image, case.label):
        if raw is not None and not is_inside(raw.path, source):
            return outside_problem(raw.path)
    try:
        files = source_files(case)
    except InputError as problem:
        return problem
    except OSError as error:
        return InputError(case.image, f"cannot be read ({error}).", "Correct its permissions, or copy it again.")
    for path in files:
        if not is_inside(path, source):
            return outside_problem(path)
        if not os.path.exists(path):
            return InputError(path, "cannot be found.", "Correct its link or the permissions of its folder.")
    return None

"""Lists of cases."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from pathlib import Path, PurePosixPath
from typing import Any

from monai.data import load_decathlon_datalist

from bundle.byte_ranges import is_url
from bundle.data.ct_formats import CT_SUFFIXES, case_name, labelled_case
from bundle.errors import InputError
from bundle.json_files import parse_json
from bundle.small_files import read_text

__all__ = [
    "LISTING",
    "PREPARED",
    "check_view_counts",
    "is_prepared",
    "load_datalist",
    "read_listing",
    "sections_checksum",
    "split_checksum",
    "with_view_counts",
]

LISTING = "dataset.json"
PREPARED = "deepsparse-prepared"
"""What a prepared data set's listing has under "format"."""


def load_datalist(dataset_dir: str | os.PathLike, section: str, repeats: int = 1) -> list[dict[str, Any]]:
    """Lists the cases of one section of a data set.

    A folder with a dataset.json (MONAI's datalist form: sections of {"image": path}, and "projections" where stored)
    is taken at its word; prepared data sets have one, and may be given as the URL of an object store. "label" names a
    case's label map, where there is one. In any other folder every CT file is a case of every section, and a warning
    says so.

    Args:
        dataset_dir: the folder, or the URL of a prepared data set.
        section: "training", "validation" or "test".
        repeats: times that each case occurs in an epoch.

    Returns:
        Items with absolute paths, and a "case" name each.

    Raises:
        InputError: when the folder, the section or all cases are missing, a case is listed twice, two have one
            name, or only some have projections.
    """
    dataset_dir = os.fspath(dataset_dir).rstrip("/") or "/"
    folder = Path(dataset_dir)
    if not is_url(dataset_dir) and not folder.is_dir():
        raise InputError(f"dataset_dir {dataset_dir}", "is not a folder.", "Give the folder with the CT volumes.")
    listing = read_listing(dataset_dir)
    if listing is not None:
        sections = _sections(listing, dataset_dir)
        if section not in sections:
            raise InputError(
                f"{dataset_dir}/{LISTING}", f"has no section {section!r}.", f"It has {', '.join(sorted(sections))}."
            )
        if is_url(dataset_dir) or not sections[section]:
            cases = [{**case, "image": f"{dataset_dir}/{case['image']}"} for case in sections[section]]
        else:
            cases = load_decathlon_datalist(str(folder / LISTING), is_segmentation=False, data_list_key=section)
        labels = [case.get("label") for case in sections[section]]
        cases = [
            case if label is None else {**case, "label": os.path.join(dataset_dir, label)}
            for case, label in zip(cases, labels)
        ]
    else:
        files = _volumes_of(folder)
        cases = [{"image": str(path)} for path in files]
        logging.getLogger(__name__).warning(
            "%s has no %s: all %d volumes serve as %s cases.", folder, LISTING, len(cases), section
        )
    if not cases:
        remedy = f"Put volumes there ({', '.join(CT_SUFFIXES)})." if listing is None else f"Add some to its {LISTING}."
        raise InputError(f"dataset_dir {dataset_dir}", f"has no {section} cases.", remedy)
    if 0 < sum("projections" in case for case in cases) < len(cases):
        raise InputError(
            f"{dataset_dir}/{LISTING}",
            f"has {section} cases with and without projections.",
            "Store projections of all of them, or of none.",
        )
    names = case_names([case["image"] for case in cases], folder)
    counts = Counter(names)
    alike = sorted(case["image"] for case, name in zip(cases, names) if counts[name] > 1)
    if alike:
        raise InputError(folder, f"has cases of one name: {', '.join(alike)}.", "Rename all but one of them.")
    named = [{**case, "case": name} for case, name in zip(cases, names)]
    return [dict(case) for case in named for _ in range(repeats)]


def is_prepared(dataset_dir: str | os.PathLike) -> bool:
    """Whether a data set was written by ``python -m bundle prepare``."""
    listing = read_listing(dataset_dir)
    return listing is not None and listing.get("format") == PREPARED


def split_checksum(dataset_dir: str | os.PathLike) -> str:
    """What the sections of a data set's listing hold, in 16 characters; the same for the same split anywhere.

    Cases are known by their "case", or by the path of their image as it is listed. Empty where there is no listing.
    """
    listing = read_listing(dataset_dir)
    if listing is None:
        return ""
    names = {
        section: [str(case.get("case") or PurePosixPath(case["image"])) for case in cases]
        for section, cases in _sections(listing, dataset_dir).items()
    }
    return sections_checksum(names)


def sections_checksum(sections: Mapping[str, Iterable[str]]) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the names in each section, sorted; empty sections are none."""
    contents = {section: sorted(names) for section, names in sections.items() if names}
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()[:16]


def read_listing(dataset_dir: str | os.PathLike) -> dict[str, Any] | None:
    """Reads a data set's dataset.json; None if it has none.

    Raises:
        InputError: when it is not a JSON object.
    """
    path = f"{os.fspath(dataset_dir).rstrip('/')}/{LISTING}"
    if not is_url(dataset_dir) and not os.path.lexists(path):
        return None
    listing = parse_json(read_text(path), path)
    if not isinstance(listing, dict):
        raise InputError(path, "has no sections.", 'Let it be {"training": [{"image": ...}, ...], ...}.')
    return listing


def _sections(listing: dict[str, Any], source: object) -> dict[str, list[dict[str, Any]]]:
    """The lists of cases, out of all that a listing says; paths alone, as in Decathlon's tests, become cases."""
    sections = {}
    for name, entries in listing.items():
        if not isinstance(entries, list):
            continue
        cases = [{"image": entry} if name == "test" and isinstance(entry, str) else entry for entry in entries]
        if all(isinstance(case, dict) and isinstance(case.get("image"), str) for case in cases):
            sections[name] = cases
        elif name in ("training", "validation", "test"):
            raise InputError(
                f"{source}/{LISTING}", f"has an entry without an image in {name}.", 'Let each be {"image": path}.'
            )
        for case in sections.get(name, ()):
            for key in ("image", "projections", "label"):
                _check_path(case.get(key), f"{source}/{LISTING}")
        if not all(isinstance(case.get("label", ""), str) for case in sections.get(name, ())):
            raise InputError(f"{source}/{LISTING}", f"has a label that is no path in {name}.", "Name a label map.")
    return sections


def _check_path(path: Any, source: str) -> None:
    """Refuses a relative path that leads out of the data set's folder; absolute ones are meant as they are."""
    if not isinstance(path, str) or is_url(path):
        return
    leaves = not os.path.isabs(path) and os.path.normpath(path).split(os.sep)[0] == os.pardir
    if leaves or "\0" in path:
        raise InputError(source, f"names {path!r}, which is outside of its folder.", "Move or link the file into it.")


def case_names(paths: Sequence[str], folder: Path) -> list[str]:
    """Short names of cases.

    The file name without its suffixes; where files of different folders share it, the path from the data set's folder
    with underscores for separators. Files that differ in their suffixes alone still share one.

    Raises:
        InputError: when a file occurs twice, or has no name.
    """
    nameless = [path for path in paths if not case_name(path).strip(".")]
    if nameless:
        raise InputError(folder, f"lists {nameless[0]!r}, which has no name.", "Name the volumes' files.")
    repeated = sorted({path for path in paths if paths.count(path) > 1}) if len(set(paths)) < len(paths) else []
    if repeated:
        raise InputError(folder, f"lists {', '.join(repeated)} more than once.", "List every case once.")
    short = [case_name(path) for path in paths]
    if len(set(short)) == len(short):
        return short
    outwards = f"{os.pardir}{os.sep}"
    within = [os.path.relpath(path, folder) for path in paths]
    while any(path.startswith(outwards) for path in within):
        within = [path.removeprefix(outwards) for path in within]
    return [case_name(path.replace(os.sep, "_")) for path in within]


def _volumes_of(folder: Path) -> list[Path]:
    """The volumes in a folder without a listing: no hidden files, and no label maps of others."""
    files = [path for path in folder.iterdir() if path.name.lower().endswith(CT_SUFFIXES)]
    files = sorted(path for path in files if not path.name.startswith("."))
    images = {case_name(path) for path in files}
    return [path for path in files if labelled_case(case_name(path)) not in images]


def check_view_counts(view_counts: object) -> None:
    """Refuses anything but a list of numbers of views.

    Raises:
        InputError: when it is not one of distinct whole numbers from 1.
    """
    counts = list(view_counts) if isinstance(view_counts, Sequence) and not isinstance(view_counts, str) else []
    whole = all(isinstance(count, Integral) and int(count) > 0 for count in counts)
    if not counts or not whole or len(set(counts)) < len(counts):
        raise InputError("view_counts", f"is {view_counts!r}.", "Give a list such as [6, 8, 10], each number once.")


def with_view_counts(
    cases: Sequence[dict[str, Any]], view_counts: Sequence[int], only: Sequence[int] | None = None
) -> list[dict[str, Any]]:
    """Every case once for every number of sparse views; or of this list only the items of the given numbers.

    Raises:
        InputError: when the numbers of views are no distinct whole numbers from 1.
    """
    check_view_counts(view_counts)
    items = [{**case, "num_sparse": int(count)} for case in cases for count in view_counts]
    return items if only is None else [items[number] for number in only]

"""Splits and patients that a user gives in files."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from bundle.data.ct_formats import case_name
from bundle.errors import InputError
from bundle.json_files import parse_json
from bundle.preparation.splits import SECTIONS, Split
from bundle.small_files import read_text
from bundle.tables import parse_rows

__all__ = ["read_patients", "read_split"]

_PART = re.compile(r"(.+)(_part[0-9]+)")


def read_split(path: str | os.PathLike, patients: Mapping[str, str], keep_missing: bool = False) -> Split:
    """Reads a user's own split.

    Either JSON with the sections training, validation and test, each a list of names of cases or of {"image": path}
    as in MONAI's datalists; other entries are left alone. Or a CSV table with the columns case and split. The parts of
    a case, NAME_part1 and so on in a prepared set's own dataset.json, stand for the case. Cases that are in no section
    are left out of the prepared set.

    Args:
        path: the file.
        patients: the patient of every case that was found.
        keep_missing: keep the names of cases that were not found, with a warning, as a set's own split has to stay.

    Raises:
        InputError: when the file cannot be read, has other sections, lists no case, a case twice or one that was not
            found, or has a patient in two sections.
    """
    path = Path(path)
    listed = _csv_sections(path) if path.suffix.lower() == ".csv" else _json_sections(path)
    section_of: dict[str, str] = {}
    missing: list[str] = []
    parts: set[tuple[str, str]] = set()
    for section, entries in listed.items():
        if section not in SECTIONS:
            raise InputError(path, f"has the section {section!r}.", f"Use {', '.join(SECTIONS)}.")
        for entry in entries:
            name, part = _case_of(entry, patients, path) or (None, "")
            if name is None:
                name = str(entry.get("image") if isinstance(entry, dict) else entry)
                missing.append(name)
            if name in section_of and (section_of[name] != section or not part or (name, part) in parts):
                raise InputError(path, f"lists the case {name} twice.", "List every case once.")
            section_of[name] = section
            parts.add((name, part))
    if missing and keep_missing:
        logging.getLogger(__name__).warning(
            "%s lists %d cases that are no longer found, such as %s; it stays as it is.",
            path,
            len(missing),
            ", ".join(sorted(missing)[:3]),
        )
    elif missing:
        raise InputError(
            path,
            f"lists {len(missing)} cases that were not found, such as {', '.join(sorted(missing)[:3])}.",
            f"Take them out, or name them as they are found, such as {', '.join(sorted(patients)[:3])}.",
        )
    if not section_of:
        raise InputError(path, "lists no case.", "Give sections with names of cases.")
    _check_patients({case: section for case, section in section_of.items() if case in patients}, patients, path)
    sections = {name: tuple(sorted(c for c, where in section_of.items() if where == name)) for name in SECTIONS}
    return Split(sections, f"as in {path.name}")


def read_patients(path: str | os.PathLike) -> dict[str, str]:
    """Reads the patient of each case from a CSV table with the columns case and patient.

    Raises:
        InputError: when the file cannot be read, has other columns or lists a case twice.
    """
    patients: dict[str, str] = {}
    for case, patient in _csv_pairs(Path(path), "patient"):
        if case in patients:
            raise InputError(path, f"lists the case {case} twice.", "List every case once.")
        patients[case] = patient
    return patients


def _check_patients(section_of: Mapping[str, str], patients: Mapping[str, str], path: Path) -> None:
    first: dict[str, str] = {}
    for case in sorted(section_of):
        other = first.setdefault(patients[case], case)
        if section_of[other] != section_of[case]:
            raise InputError(
                path,
                f"has the patient {patients[case]} in two sections: {other} in {section_of[other]} and {case} in "
                f"{section_of[case]}.",
                "Keep a patient's cases in one section, or say with --patients whose they are.",
            )


def _case_of(entry: Any, patients: Mapping[str, str], path: Path) -> tuple[str, str] | None:
    """The found case that an entry means, and the end of the part's name if it means one, if there is such a case."""
    if isinstance(entry, str):
        return _case_or_part(entry, patients)
    if not isinstance(entry, dict) or not isinstance(entry.get("image"), str):
        raise InputError(path, f"has the entry {entry!r}.", 'Give a name, or {"image": path}.')
    image = PurePosixPath(entry["image"])
    short = case_name(image)
    # A case is named by its file, by its folder where all files have one name, or by the path where names clash;
    # nnU-Net's files end in the number of a channel.
    for name in (short, short.removesuffix("_0000"), image.parent.name, case_name("_".join(image.parts))):
        if name in patients:
            return name, ""
    return _case_or_part(short, patients)


def _case_or_part(name: str, patients: Mapping[str, str]) -> tuple[str, str] | None:
    if name in patients:
        return name, ""
    told = _PART.fullmatch(name)
    return (told[1], told[2]) if told and told[1] in patients else None


def _json_sections(path: Path) -> dict[str, list[Any]]:
    content = parse_json(read_text(path), path)
    if not isinstance(content, dict):
        raise InputError(path, "has no sections.", f"Give {{section: [cases]}} with {', '.join(SECTIONS)}.")
    for name in SECTIONS:
        if not isinstance(content.get(name, []), list):
            raise InputError(path, f"has a section {name} that is no list.", "Give a list of cases.")
    return {name: entries for name, entries in content.items() if isinstance(entries, list)}


def _csv_sections(path: Path) -> dict[str, list[Any]]:
    sections: dict[str, list[Any]] = {}
    for case, section in _csv_pairs(path, "split"):
        sections.setdefault(section, []).append(case)
    return sections


def _csv_pairs(path: Path, column: str) -> list[tuple[str, str]]:
    rows = parse_rows(read_text(path), path)
    absent = {"case", column} - set(rows[0] if rows else [])
    if absent:
        raise InputError(
            path, f"has no column {' or '.join(sorted(absent))}.", f"Give a table with the columns case and {column}."
        )
    pairs = [(row["case"].strip(), row[column].strip()) for row in rows]
    for number, pair in enumerate(pairs, start=2):
        if not all(pair):
            raise InputError(f"{path} line {number}", f"has no case or no {column}.", "Fill in both columns.")
    return pairs

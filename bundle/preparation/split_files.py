"""Splits and patients that a user gives in files."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from bundle.errors import InputError
from bundle.preparation.splits import SECTIONS, Split

__all__ = ["read_patients", "read_split"]


def read_split(path: str | os.PathLike, patients: Mapping[str, str]) -> Split:
    """Reads a user's own split.

    Either JSON with the sections training, validation and test, each a list of names of cases or of {"image": path}
    as in MONAI's datalists; entries that are not lists are left alone. Or a CSV table with the columns case and split.
    Cases that are in no section are left out of the prepared set.

    Args:
        path: the file.
        patients: the patient of every case that was found.

    Raises:
        InputError: when the file cannot be read, has other sections, lists no case, a case twice or one that was not
            found, or has a patient in two sections.
    """
    path = Path(path)
    listed = _csv_sections(path) if path.suffix.lower() == ".csv" else _json_sections(path)
    section_of: dict[str, str] = {}
    missing = []
    for section, entries in listed.items():
        if section not in SECTIONS:
            raise InputError(path, f"has the section {section!r}.", f"Use {', '.join(SECTIONS)}.")
        for entry in entries:
            name = _case_of(entry, patients, path)
            if name is None:
                missing.append(str(entry.get("image") if isinstance(entry, dict) else entry))
            elif name in section_of:
                raise InputError(path, f"lists the case {name} twice.", "List every case once.")
            else:
                section_of[name] = section
    if missing:
        raise InputError(
            path,
            f"lists {len(missing)} cases that were not found, such as {', '.join(sorted(missing)[:3])}.",
            f"Take them out, or name them as they are found, such as {', '.join(sorted(patients)[:3])}.",
        )
    if not section_of:
        raise InputError(path, "lists no case.", "Give sections with names of cases.")
    _check_patients(section_of, patients, path)
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


def _case_of(entry: Any, patients: Mapping[str, str], path: Path) -> str | None:
    """The found case that an entry means, if there is one."""
    from bundle.data.ct_volume import case_name  # imports MONAI, which takes seconds that most runs need not wait

    if isinstance(entry, str):
        return entry if entry in patients else None
    if not isinstance(entry, dict) or not isinstance(entry.get("image"), str):
        raise InputError(path, f"has the entry {entry!r}.", 'Give a name, or {"image": path}.')
    image = PurePosixPath(entry["image"])
    short = case_name(image)
    # A case is named by its file, by its folder where all files have one name, or by the path where names clash;
    # nnU-Net's files end in the number of a channel.
    for name in (short, short.removesuffix("_0000"), image.parent.name, case_name("_".join(image.parts))):
        if name in patients:
            return name
    return None


def _json_sections(path: Path) -> dict[str, list[Any]]:
    try:
        content = json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise InputError(path, f"is not valid JSON ({error}).", "Mend the file.") from error
    if not isinstance(content, dict):
        raise InputError(path, "has no sections.", f"Give {{section: [cases]}} with {', '.join(SECTIONS)}.")
    return {name: entries for name, entries in content.items() if isinstance(entries, list)}


def _csv_sections(path: Path) -> dict[str, list[Any]]:
    sections: dict[str, list[Any]] = {}
    for case, section in _csv_pairs(path, "split"):
        sections.setdefault(section, []).append(case)
    return sections


def _csv_pairs(path: Path, column: str) -> list[tuple[str, str]]:
    reader = csv.DictReader(_text(path).splitlines())
    absent = {"case", column} - set(reader.fieldnames or [])
    if absent:
        raise InputError(
            path, f"has no column {' or '.join(sorted(absent))}.", f"Give a table with the columns case and {column}."
        )
    pairs = [((row["case"] or "").strip(), (row[column] or "").strip()) for row in reader]
    for number, pair in enumerate(pairs, start=2):
        if not all(pair):
            raise InputError(f"{path} line {number}", f"has no case or no {column}.", "Fill in both columns.")
    return pairs


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # spreadsheets put a mark before UTF-8
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"cannot be read ({error}).", "Give a JSON or CSV file in UTF-8.") from error

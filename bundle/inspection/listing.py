"""Which cases a prepared data set has, and what its records say of their files."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle.checksums import file_sha256
from bundle.data.datalist import LISTING
from bundle.errors import InputError
from bundle.json_files import read_json_object
from bundle.tables import printable, read_rows

__all__ = ["Files", "ListedCase", "check_files", "list_cases", "recorded_files"]

Files = Mapping[str, tuple[int, str]]
"""Size in bytes and SHA-256 of files, by their path in the data set."""


@dataclass(frozen=True)
class ListedCase:
    """An entry of a data set's listing.

    Args:
        name: of the case.
        section: of the split.
        patient: where the listing names one.
        folder: of the case's files.
        problem: why it was not prepared, if it was not.
    """

    name: str
    section: str
    patient: str
    folder: Path
    problem: str = ""


def list_cases(source: Path, names: Collection[str] | None = None) -> list[ListedCase]:
    """The cases that a data set's listing has, in its order, and after them those that failed in preparation.

    Args:
        source: folder of the prepared set.
        names: those wanted; all if None.

    Raises:
        InputError: when there is no listing, it is damaged or empty, or has not all of the wanted cases.
    """
    path = source / LISTING
    content = read_json_object(path)
    if content is None:
        raise InputError(
            source, f"has no {LISTING}, so it is no prepared data set.", "Give the output of python -m bundle prepare."
        )
    listed = []
    for section, entries in content.items():
        for entry in entries if isinstance(entries, list) else []:
            if not isinstance(entry, dict) or not isinstance(entry.get("image"), str):
                raise InputError(path, f"has an entry without an image in {section}: {entry!r}.", "Prepare it again.")
            name = str(entry.get("case") or Path(entry["image"]).name)
            listed.append(ListedCase(name, section, str(entry.get("patient", "")), source / entry["image"]))
    listed += _failed_cases(source, content.get("split"))
    if not listed:
        raise InputError(path, "lists no cases.", "Prepare the data set again; its report.csv says what failed.")
    if names is None:
        return listed
    unknown = sorted(set(names) - {case.name for case in listed})
    if unknown:
        raise InputError("cases", f"{', '.join(unknown)} are not in {path}.", "Name cases as the listing does.")
    return [case for case in listed if case.name in names]


def _failed_cases(source: Path, split: Any) -> list[ListedCase]:
    """Cases that the listing misses, with what the report says of them."""
    missing = split.get("missing", []) if isinstance(split, dict) else []
    reported = {row.get("case"): row for row in read_rows(source / "report.csv")} if missing else {}
    cases = []
    for name in missing:
        name = str(name)
        row = reported.get(printable(name), {})  # as the table has it
        problem = f"was not prepared: {row.get('error') or 'the report does not say why'}"
        cases.append(ListedCase(name, row.get("split", ""), row.get("patient", ""), source / "cases" / name, problem))
    return cases


def recorded_files(source: Path) -> dict[str, Files]:
    """Sizes and checksums of the files of every case, as preparation recorded them.

    Records that are damaged count as missing.

    Args:
        source: folder of the prepared set.

    Returns:
        Files by the name of the case.
    """
    files: dict[str, Files] = {}
    for path in sorted((source / "records").glob("*.json")):
        try:
            record = read_json_object(path) or {}
            for item in record["items"]:
                entries = item["files"].items()
                files[item["name"]] = {name: (int(entry["bytes"]), entry["sha256"]) for name, entry in entries}
        except (InputError, KeyError, TypeError, ValueError, AttributeError):
            continue
    return files


def check_files(source: Path, files: Files) -> str:
    """What is wrong with a case's files, by their sizes and checksums; empty if nothing is.

    Args:
        source: folder of the prepared set.
        files: as recorded.
    """
    wrong = []
    for name, (size, checksum) in files.items():
        path = source / name
        if not path.is_file():
            wrong.append(f"{path.name} is missing")
        elif path.stat().st_size != size:
            wrong.append(f"{path.name} has {path.stat().st_size} bytes instead of {size}")
        elif file_sha256(path) != checksum:
            wrong.append(f"{path.name} does not match its checksum")
    return ", ".join(wrong)

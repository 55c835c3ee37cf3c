"""Tables of results as CSV files."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundle.atomic import atomic_path

__all__ = ["printable", "read_rows", "write_rows"]


def read_rows(path: str | os.PathLike) -> list[dict[str, str]]:
    """Rows of a table, none if there is no such file."""
    if not Path(path).is_file():
        return []
    with open(path, newline="", encoding="utf-8-sig") as file:  # with or without the mark of spreadsheets
        return list(csv.DictReader(file))


def write_rows(rows: list[dict[str, Any]], path: str | os.PathLike) -> None:
    """Writes a table, complete or not at all.

    What is no text, as in names of files that are not UTF-8, is written as the escapes that Python shows.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with (
        atomic_path(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def printable(value: Any) -> Any:
    """A value whose texts can be written.

    What is no character, as in file names that are not UTF-8, is escaped as Python shows it.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, Mapping):
        return {printable(key): printable(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(printable(part) for part in value)
    return value

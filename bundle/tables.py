"""Tables of results as CSV files."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from typing import Any

from bundle.atomic import atomic_path
from bundle.errors import InputError
from bundle.small_files import read_text

__all__ = ["parse_rows", "printable", "read_rows", "write_rows"]

MOST_COLUMNS = 1000
MOST_CELLS = 5 * 10**6


def read_rows(path: str | os.PathLike) -> list[dict[str, str]]:
    """Rows of a table, none if there is no such file.

    Raises:
        InputError: when the file is no table; see :func:`parse_rows`.
    """
    return parse_rows(read_text(path), path) if os.path.lexists(path) else []


def parse_rows(text: str, source: object) -> list[dict[str, str]]:
    """Rows of a table by the names of its columns; cells that a row lacks at its end are empty.

    Args:
        text: CSV with a line of names.
        source: what to name in messages.

    Raises:
        InputError: when it is too large, a quotation does not end, a column has no name or the name of another, or a
            row has more cells than there are columns.
    """
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[dict[str, str]] = []
    try:
        columns = _without_empty_end(next(lines, []))
        twice = sorted({name for name in columns if columns.count(name) > 1}) if len(columns) <= MOST_COLUMNS else []
        if len(columns) > MOST_COLUMNS or "" in columns or twice:
            told = f"the column {twice[0]!r} twice" if twice else f"{len(columns)} columns, or one without a name"
            raise InputError(source, f"has {told}.", "Give each column one name.")
        for cells in filter(None, lines):
            if len(cells) > len(columns):
                cells = _without_empty_end(cells)
            if len(cells) > len(columns):
                where = f"{source}, line {lines.line_num}"
                raise InputError(where, f"has {len(cells)} cells for {len(columns)} columns.", "Mend the line.")
            if (len(rows) + 1) * len(columns) > MOST_CELLS:
                raise InputError(source, f"has more than {MOST_CELLS} cells.", "Split it.")
            rows.append(dict(zip(columns, cells + [""] * (len(columns) - len(cells)))))
    except csv.Error as error:
        raise InputError(
            f"{source}, line {lines.line_num}", f"is no line of a CSV table ({error}).", "Mend it."
        ) from error
    return rows


def _without_empty_end(cells: list[str]) -> list[str]:
    """Cells without the empty ones that spreadsheets put at a line's end."""
    count = len(cells)
    while count and not cells[count - 1].strip():
        count -= 1
    return cells[:count]


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

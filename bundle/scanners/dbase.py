"""Tables in dBase files, of which RTK's reader takes the first column where the one that it wants is missing."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from bundle.errors import InputError

__all__ = ["check_dbase"]

_BLOCK = 32  # bytes of the header and of each column's description
_WIDTH = 16  # where in it a column's width stands


def check_dbase(path: Path, columns: Sequence[str]) -> None:
    """Refuses a file that is no dBase table, is cut, or lacks a column.

    Args:
        path: the .dbf file.
        columns: names that it needs.

    Raises:
        InputError: naming the file and what is missing.
    """
    if not path.is_file():
        raise InputError(path, "does not exist, or is no file.", "Copy it from the scanner, too.")
    content = path.read_bytes()
    try:
        rows, header, row = struct.unpack_from("<IHH", content, 4)
    except struct.error:
        rows, header, row = 0, 0, 0
    described = range(_BLOCK, header - 1, _BLOCK)
    if header <= _BLOCK or len(content) < header + rows * row or len(content) < described[-1] + _BLOCK:
        raise InputError(path, "is damaged or no dBase file.", "Copy it again from the scanner.")
    names = [content[start : start + 11].split(b"\0")[0].decode("latin-1") for start in described]
    widths = sum(content[start + _WIDTH] for start in described)
    if row < 1 + widths:  # one byte marks deleted rows
        raise InputError(
            path, f"has rows of {row} bytes for columns of {widths}.", "It is damaged: copy it again from the scanner."
        )
    missing = [name for name in columns if name not in names]
    if missing:
        raise InputError(path, f"lacks the columns {', '.join(missing)}.", f"It has {', '.join(names)}.")

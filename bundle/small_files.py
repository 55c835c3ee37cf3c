"""Small text files from anywhere, read whole: within a size, from regular files alone, and as text."""

from __future__ import annotations

import os
import stat

from bundle.byte_ranges import is_url, read_bytes
from bundle.errors import InputError
from bundle.paths import refuse_special

__all__ = ["MOST_BYTES", "as_text", "check_regular", "read_text"]

MOST_BYTES = 2**25
"""Largest small file: a listing of a quarter of a million cases."""
_REMEDY = "Get another copy, or mend it."


def check_regular(path: str | os.PathLike) -> int:
    """Refuses what is no plain file, such as a pipe or a device, which reading would wait for or never end.

    Returns:
        Size in bytes.

    Raises:
        InputError: when it is missing, or something else.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:  # a name with NUL is a wrong value
        missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
        told = "does not exist." if missing else f"cannot be read ({getattr(error, 'strerror', None) or error})."
        raise InputError(path, told, "Check the path.") from error
    refuse_special(path)
    if stat.S_ISDIR(found.st_mode):
        raise InputError(path, "is a folder, not a file.", "Give a file.")
    return found.st_size


def read_text(path: str | os.PathLike) -> str:
    """Reads a text file, or an object of a store.

    Raises:
        InputError: when it is missing, no plain file, too large, or no text in UTF-8.
    """
    size = 0 if is_url(path) else check_regular(path)
    if size <= MOST_BYTES:
        content = read_bytes(path, (size or MOST_BYTES) + 1)
        size = len(content)
    if size > MOST_BYTES:
        raise InputError(path, f"is larger than {MOST_BYTES >> 20} MiB.", "Give the text file that is meant.")
    return as_text(content, path)


def as_text(content: bytes, source: object) -> str:
    """Text of bytes in UTF-8, with or without the mark that spreadsheets put before it.

    Args:
        content: of a file.
        source: what to name in messages.

    Raises:
        InputError: when it is none.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            source, f"is no text in UTF-8 (byte {error.start}).", "Save it as UTF-8, or get another copy."
        ) from error
    if "\0" in text:
        raise InputError(source, "holds NUL bytes, so it is no text.", _REMEDY)
    return text

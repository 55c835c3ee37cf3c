"""Reading parts of files and of objects in a store."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from bundle.errors import InputError
from bundle.optional import require

__all__ = ["is_url", "read_bytes", "read_into"]


def is_url(path: str | os.PathLike) -> bool:
    """Whether a path names an object store, such as s3://bucket/set, rather than a file."""
    return "://" in str(path)


def read_bytes(path: str | os.PathLike, end: int | None = None) -> bytes:
    """Reads a file, or an object of a store, from its beginning; all of it if no end is given.

    Raises:
        InputError: when it cannot be read.
    """
    try:
        if is_url(path):
            system, name = _system(path)
            return system.cat_file(name, start=0, end=end)
        with open(path, "rb") as file:
            return file.read(-1 if end is None else end)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def read_into(parts: np.ndarray, path: str | os.PathLike, starts: Sequence[int]) -> None:
    """Fills an array's rows with what a file, or an object of a store, has from given positions on.

    Parts of a file are read rather than mapped into memory: mapping a file that is not in the page cache makes the
    system read ten times as much around every part (docs/data.md). Parts of an object are asked for at the same time.

    Args:
        parts: [k, ...] array in C order.
        path: file or URL.
        starts: position of each row in bytes.

    Raises:
        InputError: when it cannot be read, or ends too early.
    """
    size = parts[0].nbytes
    try:
        if is_url(path):
            system, name = _system(path)
            ends = [start + size for start in starts]
            for row, found in zip(parts, system.cat_ranges([name] * len(starts), list(starts), ends)):
                row.reshape(-1).view(np.uint8)[:] = np.frombuffer(found, np.uint8)
            return
        with open(path, "rb", buffering=0) as file:
            for row, start in zip(parts, starts):
                file.seek(start)
                if file.readinto(memoryview(row.reshape(-1).view(np.uint8))) != size:
                    raise ValueError("it ends too early")
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _system(path: str | os.PathLike) -> tuple:
    fsspec = require("fsspec", "fsspec", f"reading {path}")
    return fsspec.core.url_to_fs(str(path))


def _unreadable(path: str | os.PathLike, error: Exception) -> InputError:
    return InputError(path, f"cannot be read ({error}).", "Check the path, or copy it again.")

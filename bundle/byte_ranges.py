"""Reading parts of files and of objects in a store."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from bundle.errors import InputError
from bundle.optional import require
from bundle.paths import refuse_special

__all__ = ["is_url", "read_bytes", "read_into"]


def is_url(path: str | os.PathLike) -> bool:
    """Whether a path names an object store, such as s3://bucket/set, rather than a file."""
    return "://" in str(path)


def read_bytes(path: str | os.PathLike, end: int | None = None) -> bytes:
    """Reads a file, or an object of a store, from its beginning; all of it if no end is given.

    Raises:
        InputError: when it cannot be read.
    """
    if is_url(path):
        with _told_by_name(path):
            system, name = _system(path)
            return system.cat_file(name, start=0, end=end)
    refuse_special(path)
    try:
        with open(path, "rb") as file:
            return file.read(-1 if end is None else end)
    except OSError as error:
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
    rows = list(parts.reshape(len(parts), -1).view(np.uint8))
    if is_url(path):
        with _told_by_name(path):
            _read_object(rows, path, starts)
        return
    refuse_special(path)
    try:
        with open(path, "rb", buffering=0) as file:
            for row, start in zip(rows, starts):
                file.seek(start)
                _fill(row, file)
    except (OSError, EOFError) as error:
        raise _unreadable(path, error) from error


def _fill(row: np.ndarray, file: io.RawIOBase) -> None:
    filled = 0
    while filled < len(row):  # the system gives at most 2 GiB at a time
        count = file.readinto(row.data[filled:])
        if not count:
            raise EOFError("it ends too early")
        filled += count


def _read_object(rows: Sequence[np.ndarray], path: str | os.PathLike, starts: Sequence[int]) -> None:
    system, name = _system(path)
    ends = [start + len(row) for row, start in zip(rows, starts)]
    for row, found in zip(rows, system.cat_ranges([name] * len(rows), list(starts), ends, on_error="raise")):
        if len(found) != len(row):
            raise EOFError("it ends too early")
        row[:] = np.frombuffer(found, np.uint8)


@contextmanager
def _told_by_name(path: str | os.PathLike) -> Iterator[None]:
    """Names the object in whatever its store raises; every kind of store has errors of its own."""
    try:
        yield
    except ImportError as error:  # which says what to install
        raise InputError(path, f"cannot be read: {error}.", "Install the package for this kind of store.") from error
    except Exception as error:
        raise _unreadable(path, error) from error


def _system(path: str | os.PathLike) -> tuple:
    fsspec = require("fsspec", "fsspec", f"reading {path}")
    return fsspec.core.url_to_fs(str(path))


def _unreadable(path: str | os.PathLike, error: Exception) -> InputError:
    return InputError(path, f"cannot be read ({error}).", "Check the path, or copy it again.")

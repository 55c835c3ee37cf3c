"""Arrays on disk or in an object store, read one leading index at a time."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from bundle.errors import InputError
from bundle.optional import require

__all__ = ["StoredArray", "is_url", "read_bytes"]

_HEADER_BYTES = 4096  # holds the header of every array with less than a hundred axes


def is_url(path: str | os.PathLike) -> bool:
    """Whether a path names an object store, such as s3://bucket/set, rather than a file."""
    return "://" in str(path)


def read_bytes(path: str | os.PathLike, start: int = 0, end: int | None = None) -> bytes:
    """Reads a file, or an object of a store, between two positions.

    Raises:
        InputError: when it cannot be read.
    """
    try:
        if is_url(path):
            fsspec = require("fsspec", "fsspec", f"reading {path}")
            system, name = fsspec.core.url_to_fs(str(path))
            return system.cat_file(name, start=start, end=end)
        with open(path, "rb") as file:
            file.seek(start)
            return file.read(-1 if end is None else end - start)
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read ({error}).", "Check the path, or copy it again.") from error


class StoredArray:
    """A .npy file of which only what is asked for is read.

    Files are mapped into memory, so that their pages are shared by all processes; objects of a store are read by
    ranges of bytes.

    Args:
        path: file, or URL of an object (s3://..., https://...).

    Raises:
        InputError: when it is missing, damaged, cut short, or no array of plain numbers in C order.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = str(path)
        self._map: np.ndarray | None = None
        if is_url(path):
            self.shape, self.dtype, self._offset = self._read_header()
            return
        try:
            self._map = np.load(Path(path), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise self._damaged(error) from error
        self.shape, self.dtype = self._map.shape, self._map.dtype
        self._check(fortran=not self._map.flags.c_contiguous)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        """The parts at a leading index, or at several [k]: [k, ...]. Parts of files are views of the mapped file."""
        if self._map is not None:
            return self._map[index]
        if np.ndim(index) > 0:
            return np.stack([self[int(i)] for i in index])
        part = self.shape[1:]
        size = math.prod(part) * self.dtype.itemsize
        start = self._offset + range(len(self))[int(index)] * size
        return np.frombuffer(read_bytes(self.path, start, start + size), self.dtype).reshape(part)

    def read(self) -> np.ndarray:
        """All of it, in memory."""
        if self._map is not None:
            return np.array(self._map)
        start, size = self._offset, math.prod(self.shape) * self.dtype.itemsize
        return np.frombuffer(read_bytes(self.path, start, start + size), self.dtype).reshape(self.shape).copy()

    def _read_header(self) -> tuple[tuple[int, ...], np.dtype, int]:
        stream = io.BytesIO(read_bytes(self.path, 0, _HEADER_BYTES))
        try:
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(stream)
        except (ValueError, EOFError) as error:
            raise self._damaged(error) from error
        self.shape, self.dtype = shape, dtype
        self._check(fortran)
        return shape, dtype, stream.tell()

    def _check(self, fortran: bool) -> None:
        if self.dtype.kind not in "fiu" or fortran:
            raise self._damaged(f"{self.dtype} in {'Fortran' if fortran else 'C'} order")

    def _damaged(self, reason: object) -> InputError:
        return InputError(
            self.path, f"is not a stored array ({reason}).", "Prepare its case again: delete it and repeat prepare."
        )

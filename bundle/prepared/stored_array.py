"""Arrays on disk or in an object store, read one leading index at a time."""

from __future__ import annotations

import math
import os
import re

import numpy as np

from bundle.byte_ranges import is_url, read_bytes, read_into
from bundle.errors import InputError

__all__ = ["StoredArray"]

_HEADER_BYTES = 4096  # holds the header of every array with less than a hundred axes
# Of format version 1.0, as numpy writes arrays of plain numbers. numpy's own parser compiles the header as a literal,
# which fails now and then when threads do it at the same time (Python 3.11).
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(..)\{'descr': '([<>|][fiu]\d+)', 'fortran_order': False, 'shape': \((\d[\d, ]*)\), \} *\n",
    re.DOTALL,
)


class StoredArray:
    """A .npy file of which only what is asked for is read.

    Args:
        path: file, or URL of an object (s3://..., https://...).

    Raises:
        InputError: when it is missing, damaged, cut short, or no array of plain numbers in C order.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = str(path)
        header = _HEADER.match(read_bytes(path, _HEADER_BYTES))
        if header is None:
            raise self._damaged("its header is not that of plain numbers in C order")
        length, kind, sizes = header.groups()
        self._offset = header.start(1) + len(length) + int.from_bytes(length, "little")
        try:
            self.dtype = np.dtype(kind.decode())
        except TypeError as error:
            raise self._damaged(error) from error
        self.shape = tuple(int(n) for n in sizes.split(b",") if n.strip())
        if not is_url(path) and os.path.getsize(path) != self._offset + self.nbytes:
            raise self._damaged(f"{os.path.getsize(path)} bytes, not {self._offset + self.nbytes}")

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Size of all of it."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __getitem__(self, index: int | np.ndarray) -> np.ndarray:
        """The part at a leading index, or at several [k]: [k, ...].

        Raises:
            IndexError: when there is none.
        """
        rows = [range(len(self))[i] for i in np.ravel(index).tolist()]
        parts = np.empty((len(rows), *self.shape[1:]), self.dtype)
        if rows:
            read_into(parts, self.path, [self._offset + row * parts[0].nbytes for row in rows])
        return parts if np.ndim(index) else parts[0]

    def read(self) -> np.ndarray:
        """All of it."""
        whole = np.empty(self.shape, self.dtype)
        read_into(whole[None], self.path, [self._offset])
        return whole

    def _damaged(self, reason: object) -> InputError:
        return InputError(
            self.path, f"is not a stored array ({reason}).", "Prepare its case again: delete it and repeat prepare."
        )

"""Reading NumPy archives that may come from anywhere."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from bundle.memory_bound import unpacks_too_far

__all__ = ["read_npz"]

MOST_BYTES = 2**36
"""Of all arrays together: more than any scan has."""

_MOST_DEFLATED = 1100  # that deflate can shrink data by, a little more than its limit of 1032
_SLACK_BYTES = 2**16


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Reads all arrays of an archive, none of Python objects.

    Before any memory is taken, what every array says of its size is compared with what the archive holds, so that a
    small file cannot ask for all memory.

    Args:
        path: .npz file.

    Returns:
        The arrays by their names.

    Raises:
        ValueError: when an array says that it is larger than it is, is there twice or unpacks to far more than it
            takes, or all are too large.
        Exception: of many other kinds, when the archive is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        total = 0
        names = [member.filename for member in archive.infolist()]
        if len(set(names)) < len(names):
            raise ValueError("it holds an array twice")
        for member in archive.infolist():
            total += _checked_bytes(archive, member)
        if total > MOST_BYTES:
            raise ValueError(f"its arrays take {total / 2**30:.0f} GiB")
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _checked_bytes(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> int:
    """Size of an array, which its header and the archive must agree about."""
    with archive.open(member) as file:
        version = npy.read_magic(file)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read_header(file)
        start = file.tell()
    size = math.prod(shape) * dtype.itemsize
    stored = member.compress_type == zipfile.ZIP_STORED
    possible = member.compress_size * (1 if stored else _MOST_DEFLATED) + _SLACK_BYTES
    if dtype.hasobject or min(shape, default=0) < 0 or start + size != member.file_size or member.file_size > possible:
        raise ValueError(f"{member.filename} is not the array of {shape} {dtype} that it says")
    if unpacks_too_far(size, member.compress_size):
        raise ValueError(f"{member.filename} unpacks to {size / 2**30:.1f} GiB from {member.compress_size} bytes")
    return size

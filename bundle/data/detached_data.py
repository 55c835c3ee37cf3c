"""The files beside MetaImage and NRRD headers that hold the voxels."""

from __future__ import annotations

import os
from pathlib import Path

from bundle.data.compressed_voxels import COPY_AGAIN
from bundle.errors import InputError

__all__ = ["HEADER_BYTES", "ambiguous", "beside", "check_voxel_bytes", "first_bytes"]

HEADER_BYTES = 65536


def first_bytes(path: Path) -> bytes:
    """The beginning of a file, which holds its header.

    Raises:
        InputError: when it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read(HEADER_BYTES)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror}).", COPY_AGAIN) from error


def ambiguous(path: Path, line: bytes) -> InputError:
    """ITK could see another file named than is seen here."""
    return InputError(path, f"is ambiguous where it says {line[:60]!r}.", "Write each field once, as ITK does.")


def beside(path: Path, name: str) -> Path:
    """The one data file that a header names.

    Raises:
        InputError: when it names none, several or one outside its folder, or the file is missing.
    """
    if not name:
        raise InputError(path, "names no file with its voxels.", COPY_AGAIN)
    if name.upper().startswith("LIST") or "%" in name:
        raise InputError(path, "keeps its voxels in several files.", "Convert it to one file, such as .mha.")
    named = Path(name)
    if named.is_absolute() or ".." in named.parts or "\\" in name:
        raise InputError(
            path, f"names the data file {name}, which lies outside its folder.", "Put the data beside its header."
        )
    data = path.parent / named
    if not os.path.isfile(data):
        raise InputError(path, f"names the data file {name}, which does not exist.", COPY_AGAIN)
    return data


def check_voxel_bytes(data: Path, held: int, expected: int, header: Path) -> None:
    """Compares the number of bytes of voxels that are not compressed with the header's.

    Args:
        data: file that holds them.
        held: bytes that it has for them.
        expected: bytes that the header announces.
        header: file with the header.

    Raises:
        InputError: when they are fewer or more.
    """
    if held != expected:
        remedy = (
            "It is truncated: copy or download it again." if held < expected else "Correct the sizes in the header."
        )
        raise InputError(
            data, f"holds {max(held, 0)} bytes of voxels where {header.name} announces {expected}.", remedy
        )

"""Compressed voxels: checked to their last byte, and never unpacked beyond what their header announces."""

from __future__ import annotations

import zlib
from pathlib import Path

from bundle.errors import InputError

__all__ = ["COPY_AGAIN", "check_deflated"]

COPY_AGAIN = "Copy or download it again."
_BLOCK_BYTES = 1 << 22


def check_deflated(data: Path, offset: int, expected: int, header: Path) -> None:
    """Decompresses voxels without keeping them, and compares their number and checksum.

    Args:
        data: file that holds them, as zlib or gzip.
        offset: where in it they start.
        expected: bytes of voxels that the header announces.
        header: file with the header, for messages.

    Raises:
        InputError: when they are damaged, or more or fewer.
    """
    stream = zlib.decompressobj(zlib.MAX_WBITS | 32)  # of either kind, as ITK reads
    held = 0
    try:
        with open(data, "rb") as file:
            file.seek(offset)
            while not stream.eof and held <= expected and (block := file.read(_BLOCK_BYTES)):
                while block and held <= expected:
                    held += len(stream.decompress(block, _BLOCK_BYTES))
                    block = stream.unconsumed_tail
    except zlib.error as error:
        raise InputError(data, f"is damaged ({error}).", COPY_AGAIN) from error
    if held != expected:
        more = "more than " if held > expected else ""
        raise InputError(
            data,
            f"holds {more}{min(held, expected)} bytes of voxels where {header.name} announces {expected}.",
            COPY_AGAIN,
        )
    if not stream.eof:
        raise InputError(data, "ends before its checksum.", COPY_AGAIN)

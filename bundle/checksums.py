"""Checksums of files."""

from __future__ import annotations

import hashlib
import os

from bundle.paths import refuse_special

__all__ = ["file_sha256"]


def file_sha256(path: str | os.PathLike) -> str:
    """SHA-256 of a file's contents, in hexadecimal digits.

    Raises:
        InputError: when it is a pipe or a device.
    """
    refuse_special(path)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

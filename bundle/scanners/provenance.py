"""Names and checksums of the files that something was made from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bundle.checksums import file_sha256
from bundle.data.volume_files import data_files

__all__ = ["describe_files"]


def describe_files(files: Iterable[Path]) -> list[dict[str, str]]:
    """Name and SHA-256 of each file; of a MetaImage header with pixels in a file of their own, of both.

    Folders are left out of the names, since they can tell who was scanned.

    Args:
        files: existing files.

    Returns:
        One entry a file: {"name": ..., "sha256": ...}.
    """
    described = []
    for path in files:
        for part in (path, *data_files(path)):
            described.append({"name": part.name, "sha256": file_sha256(part)})
    return described

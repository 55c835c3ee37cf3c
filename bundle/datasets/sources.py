"""What a case is read from, for checksums."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bundle.checksums import file_sha256
from bundle.data.volume_files import volume_files
from bundle.datasets.archives import extracted
from bundle.datasets.raw_case import RawCase

__all__ = ["describe_sources", "source_files"]


def source_files(case: RawCase) -> list[Path]:
    """Every file that a case is read from, for checksums: headers and their data, all slices, archives.

    Raises:
        InputError: when a file that another one names is missing, too short or elsewhere.
    """
    files: list[Path] = []
    for raw in (case.image, case.label):
        if raw is None:
            continue
        elif raw.member is not None:
            files.append(raw.path)
        else:
            files.extend(volume_files(raw.path))
    return list(dict.fromkeys(files))


def describe_sources(case: RawCase) -> list[dict[str, Any]]:
    """Path, size and SHA-256 of everything that a case is read from.

    Of an archive only the case's own members are read, and named, as all cases share it: "bytes" is a member's own
    size, "archive_bytes" that of its archive.

    Raises:
        InputError: as :func:`source_files`, or when a member is damaged.
    """
    members = [raw for raw in (case.image, case.label) if raw is not None and raw.member is not None]
    archives = {raw.path for raw in members}
    described = []
    for path in source_files(case):
        if path not in archives:
            described.append({"path": str(path), "bytes": path.stat().st_size, "sha256": file_sha256(path)})
    for raw in members:
        with extracted(raw) as copy:
            entry = {"path": str(raw.path), "member": raw.member, "archive_bytes": raw.path.stat().st_size}
            described.append({**entry, "bytes": copy.stat().st_size, "sha256": file_sha256(copy)})
    return described

"""Comparing prepared cases with the checksums that preparation recorded, once per file and run.

SHA-256 takes 0.64 s for a gigabyte, the first time that a case is read; after that, sizes and times of its files are
looked at.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import tempfile
import weakref
from contextlib import suppress
from functools import cache
from pathlib import Path

from bundle.byte_ranges import is_url
from bundle.checksums import file_sha256
from bundle.errors import InputError
from bundle.json_files import read_json_object

__all__ = ["CheckedFiles"]

_REMEDY = "Prepare its case again: delete it and repeat prepare. python -m bundle inspect looks at all cases."


class CheckedFiles:
    """Knows which files of prepared cases were compared in this run, by this process or by its workers.

    Workers are new processes in every epoch: what one has compared it marks in a temporary folder that all share. Cases
    in object stores, and those without a record, are not compared.
    """

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="deepsparse-checked-")
        self._files: dict[str, dict[str, tuple[int, str]]] = {}
        self._known: dict[str, tuple[int, int]] = {}
        weakref.finalize(self, _remove, self.folder, os.getpid())

    def check(self, folder: str) -> None:
        """Compares the files of a case.

        Args:
            folder: of the case.

        Raises:
            InputError: naming the first file that is not what was prepared.
        """
        if folder not in self._files:
            self._files[folder] = {} if is_url(folder) else _recorded(Path(folder))
        for path, (size, sha256) in self._files[folder].items():
            try:
                found = os.stat(path)
            except OSError as error:
                raise InputError(path, f"cannot be read ({error.strerror}).", _REMEDY) from error
            state = found.st_size, found.st_mtime_ns
            if self._known.get(path) == state:
                continue
            mark = Path(self.folder, hashlib.sha256(f"{path} {state}".encode(errors="surrogateescape")).hexdigest())
            if not mark.exists():
                if found.st_size != size or file_sha256(path) != sha256:
                    raise InputError(path, "is not what was prepared: its checksum is another.", _REMEDY)
                with suppress(OSError):  # without a mark it is compared again
                    mark.touch()
            self._known[path] = state


def _recorded(folder: Path) -> dict[str, tuple[int, str]]:
    """Sizes and checksums of a case's files by their paths, as its record has them; none if there is no record."""
    root = folder.parent.parent
    case = re.sub(r"_part[0-9]+$", "", folder.name)
    candidates = [root / "records" / f"{name}.json" for name in (folder.name, case)]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        _tell(root)
        return {}
    record = read_json_object(path, _REMEDY) or {}
    try:
        files = next(item["files"] for item in record["items"] if item["name"] == folder.name)
        return {str(root / name): (int(entry["bytes"]), str(entry["sha256"])) for name, entry in files.items()}
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise InputError(path, f"is no record of {folder.name}.", _REMEDY) from error


@cache
def _tell(root: Path) -> None:
    """Says once that a set has no records."""
    logging.getLogger(__name__).warning("%s lacks records of its files: their checksums are not compared.", root)


def _remove(folder: str, process: int) -> None:
    """Removes the marks when the process that made their folder ends, not when its workers do."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)

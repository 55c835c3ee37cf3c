"""One case's turn in a worker process: lock it, look whether it is finished, prepare it, record it."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bundle import __version__
from bundle.atomic import is_disk_full
from bundle.checksums import file_sha256
from bundle.errors import InputError, error_chain, find_input_error
from bundle.json_files import read_json_object, write_json
from bundle.optional import require

__all__ = ["BUSY", "FAILED", "PREPARED", "SKIPPED", "Job", "Outcome", "failed", "remove_unfinished", "run_case"]

PREPARED, SKIPPED, FAILED, BUSY = "prepared", "skipped", "failed", "busy"
_UNTIL_FREED_S = 2.0  # a process's end can be seen a moment before its locks are free


@dataclass(frozen=True)
class Job:
    """What all cases of a run share.

    Args:
        source: folder of the raw data set.
        output: folder of the prepared set.
        settings: PrepareSettings.
        work: what prepares one case, as :func:`bundle.preparation.case.prepare_case`.
        sources: what tells the files that a case is read from, as :func:`bundle.preparation.case.source_paths`.
    """

    source: Path
    output: Path
    settings: Any
    work: Callable[[Any, Any, Path], dict[str, Any]]
    sources: Callable[[Any, Any], list[Path]]
    plain_settings: dict[str, Any] = field(init=False)
    """The settings as they read back from JSON, where the run was started."""
    run: str = field(default_factory=lambda: uuid.uuid4().hex, init=False)
    """Names the run, so that a case whose outcome was lost with its worker is still known as this run's work."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "plain_settings", _plain(self.settings))

    def staging(self, case: str) -> Path:
        """The folder that a case is written to before it is finished."""
        return self.output / ".unfinished" / case

    def record_path(self, case: str) -> Path:
        """The file that proves a case finished."""
        return self.output / "records" / f"{case}.json"


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Args:
        case: its name.
        status: PREPARED, SKIPPED (finished before, checksums verified), FAILED or BUSY (another run works on it).
        items: names of its item folders.
        seconds: what its preparation took, then or now.
        bytes: size of its files.
        peak_rss_mb: largest memory of the process that prepared it.
        error: why it failed.
        disk_full: whether it failed for want of space.
    """

    case: str
    status: str
    items: tuple[str, ...] = ()
    seconds: float | None = None
    bytes: int | None = None
    peak_rss_mb: float | None = None
    error: str = ""
    disk_full: bool = False


def failed(case: str, error: BaseException | str) -> Outcome:
    """The outcome of a case that failed, by what was raised or in words."""
    if isinstance(error, str):
        return Outcome(case, FAILED, error=error)
    told, full = find_input_error(error), _is_for_want_of_space(error)
    text = str(told) if told else f"{'the disk is full: ' if full else ''}{type(error).__name__}: {error}"
    return Outcome(case, FAILED, error=" ".join(text.split()), disk_full=full)


def run_case(job: Job, case: Any, wait: bool) -> Outcome:
    """Prepares one case, unless it is finished; whatever goes wrong becomes an outcome.

    The work writes to a folder of its own; finished items are moved from there, and the record is written last.

    Args:
        job: what all cases share.
        case: RawCase.
        wait: wait for another run that has the case, instead of coming back at once.
    """
    try:
        with _lock(job, case.name, -1 if wait else 0) as is_mine:
            return _finish(job, case) if is_mine else Outcome(case.name, BUSY)
    except Exception as error:
        return failed(case.name, error)


def remove_unfinished(job: Job, case: str) -> None:
    """Removes what a dead worker left of a case, unless another run has taken it up."""
    with _lock(job, case, _UNTIL_FREED_S) as is_mine:
        if is_mine:
            shutil.rmtree(job.staging(case), ignore_errors=True)


@contextmanager
def _lock(job: Job, case: str, timeout_s: float) -> Iterator[bool]:
    """Holds a case's lock, and says whether it could be had in time; a negative time has no end."""
    filelock = require("filelock", "filelock", "preparing data sets")
    lock = filelock.FileLock(job.output / ".locks" / f"{case}.lock")
    try:
        lock.acquire(timeout=timeout_s)
    except filelock.Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _finish(job: Job, case: Any) -> Outcome:
    if _plain(job.settings) != job.plain_settings:
        raise InputError(
            f"preset on {socket.gethostname()}",
            "has other numbers for this worker than where the run was started.",
            "Use the same bundle with the same presets everywhere, and start the workers anew.",
        )
    record = _read_record(job, case.name)
    if record is not None and _still_true(record, job, case):
        return _outcome(record, PREPARED if record.get("run") == job.run else SKIPPED)
    staging = job.staging(case.name)
    try:
        _discard(record, job, case.name)
        staging.mkdir(parents=True)
        made = job.work(case, job.settings, staging)
        for item in made["items"]:
            target = job.output / "cases" / item["name"]
            target.parent.mkdir(exist_ok=True)
            _remove(target)
            os.rename(staging / "cases" / item["name"], target)
        record = {
            **made,
            "sources": [{**entry, "path": _below(entry["path"], job.source)} for entry in made["sources"]],
            "settings": job.plain_settings,
            "bundle_version": __version__,
            "run": job.run,
            "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }
        write_json(record, job.record_path(case.name))
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return _outcome(record, PREPARED)


def _plain(settings: Any) -> dict[str, Any]:
    return json.loads(json.dumps(settings.as_dict()))


def _read_record(job: Job, case: str) -> dict[str, Any] | None:
    """The record of a case, if it is whole and names no other folders than the case's own, as those get removed."""
    own = re.compile(re.escape(case) + "(_part[0-9]+)?")
    try:
        record = read_json_object(job.record_path(case))
        return record if record and all(own.fullmatch(item["name"]) for item in record["items"]) else None
    except (InputError, KeyError, TypeError):  # one that a crash of the machine left damaged proves nothing
        return None


def _still_true(record: dict[str, Any], job: Job, case: Any) -> bool:
    """Whether settings, patient, the sources' names and sizes and every file's checksum are those of a record."""
    try:
        if record["settings"] != job.plain_settings or record["bundle_version"] != __version__:
            return False
        if record["patient"] != case.patient:
            return False
        # An archive that several cases share is described by the case's own member, and recognised by its whole size.
        recorded = {entry["path"]: entry.get("archive_bytes", entry["bytes"]) for entry in record["sources"]}
        if {_below(path, job.source) for path in job.sources(case, job.settings)} != recorded.keys():
            return False
        if any((job.source / path).stat().st_size != size for path, size in recorded.items()):
            return False
        return all(
            (job.output / name).stat().st_size == entry["bytes"] and file_sha256(job.output / name) == entry["sha256"]
            for item in record["items"]
            for name, entry in item["files"].items()
        )
    except (KeyError, TypeError, AttributeError, FileNotFoundError, NotADirectoryError, InputError):
        return False


def _discard(record: dict[str, Any] | None, job: Job, case: str) -> None:
    """Removes what an earlier run made of a case, its record first."""
    job.record_path(case).unlink(missing_ok=True)
    for item in (record or {}).get("items", []):
        _remove(job.output / "cases" / item["name"])
    _remove(job.staging(case))


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _below(path: str | Path, folder: Path) -> str:
    """A path relative to a folder, if it is inside, so that the folder may move."""
    return str(Path(path).relative_to(folder)) if Path(path).is_relative_to(folder) else str(path)


def _outcome(record: dict[str, Any], status: str) -> Outcome:
    return Outcome(
        case=record["case"],
        status=status,
        items=tuple(item["name"] for item in record["items"]),
        seconds=record["seconds"],
        bytes=sum(entry["bytes"] for item in record["items"] for entry in item["files"].values()),
        peak_rss_mb=record["peak_rss_mb"],
    )


def _is_for_want_of_space(error: BaseException) -> bool:
    return any(isinstance(part, OSError) and is_disk_full(part) for part in error_chain(error))

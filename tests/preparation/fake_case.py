"""Cases whose names say what happens to them."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle.errors import InputError


@dataclass(frozen=True)
class FakeCase:
    name: str
    patient: str
    path: Path
    problem: InputError | None = None
    is_case: bool = True


@dataclass(frozen=True)
class FakeSettings:
    journal: str
    value: int = 1
    pause_s: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return {"value": self.value}


def make_source(folder: Path, names: list[str]) -> list[FakeCase]:
    """Cases with a source file each, of contents and sizes that all differ."""
    folder.mkdir()
    for number, name in enumerate(names):
        (folder / f"{name}.txt").write_text(name * (number + 1))
    return find(folder)


def find(folder: Path) -> list[FakeCase]:
    """The cases of a folder made by make_source."""
    return [FakeCase(path.stem, f"patient-{path.stem}", path) for path in sorted(folder.iterdir())]


def sources(case: FakeCase, settings: FakeSettings) -> list[Path]:
    """The case's file and those beside it with the same stem."""
    return sorted(case.path.parent.glob(f"{case.path.stem}.*"))


def work(case: FakeCase, settings: FakeSettings, output: Path) -> dict[str, Any]:
    """What the name says: raises..., dies..., dieonce..., full..., slow..., parts..., or else nothing special."""
    note(settings, "start", case.name)
    if case.name.startswith("raises"):
        raise KeyError("no such\nkey")
    if case.name.startswith("refused"):
        raise InputError(case.path, "is upside down.", "Turn it.")
    parts = 3 if case.name.startswith(("parts", "slow")) else 1
    items = []
    for part in range(parts):
        item = case.name if parts == 1 else f"{case.name}_part{part + 1}"
        temporary, final = output / "cases" / f".partial-{os.getpid()}-{item}", output / "cases" / item
        temporary.mkdir(parents=True)
        content = f"{case.path.read_text()} {settings.value} {part}".encode()
        (temporary / "data.bin").write_bytes(content[:3])
        if case.name.startswith("full"):
            with open("/dev/full", "wb") as file:
                file.write(content)
                file.flush()
        if case.name.startswith("slow") and part == 1:
            note(settings, "half", case.name)
            time.sleep(settings.pause_s)
        if case.name.startswith("dies") or (case.name.startswith("dieonce") and starts(settings, case.name) == 1):
            os._exit(9)
        (temporary / "data.bin").write_bytes(content)
        temporary.rename(final)
        path = (final / "data.bin").relative_to(output)
        items.append({"name": item, "files": {str(path): {"bytes": len(content), "sha256": digest(content)}}})
    note(settings, "end", case.name)
    return {
        "case": case.name,
        "patient": case.patient,
        "items": items,
        "sources": [
            {"path": str(path), "bytes": path.stat().st_size, "sha256": digest(path.read_bytes())}
            for path in sources(case, settings)
        ],
        "seconds": 1.5,
    }


def own_threads() -> dict[str, str | None]:
    """What this process's libraries are told."""
    names = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
    return {name: os.environ.get(name) for name in names}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def note(settings: FakeSettings, what: str, case: str) -> None:
    with open(settings.journal, "a", encoding="utf-8") as file:
        file.write(f"{what} {case} {os.getpid()}\n")


def starts(settings: FakeSettings, case: str) -> int:
    return journal(Path(settings.journal)).count(("start", case))


def journal(path: Path) -> list[tuple[str, str]]:
    return [tuple(line.split()[:2]) for line in path.read_text().splitlines()] if path.exists() else []


def pids(path: Path) -> set[int]:
    return {int(line.split()[2]) for line in path.read_text().splitlines()}


def contents(output: Path) -> dict[str, bytes]:
    """All files of a prepared set except locks and what tells how long it took."""
    return {
        str(path.relative_to(output)): path.read_bytes()
        for path in sorted(output.rglob("*"))
        if path.is_file() and path.parent.name not in (".locks", "records") and path.name != "report.csv"
    }

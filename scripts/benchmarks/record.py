"""The JSON file that holds every figure of a benchmark."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from bundle.errors import told_changes
from bundle.json_files import read_json_object, write_json
from scripts.benchmarks.result import UNITS, PartResult

__all__ = ["Record"]


class Record:
    """Figures of the parts that were measured under the same circumstances.

    Args:
        path: the JSON file; parts that it holds already are kept if it was written under the same circumstances.
        circumstances: machine, threads, versions and commit.

    Raises:
        InputError: when the file is there but damaged.
    """

    def __init__(self, path: Path, circumstances: dict[str, Any]) -> None:
        self.path = path
        self.circumstances = circumstances
        earlier = read_json_object(path) or {}
        self.differences = told_changes({name: earlier.get(name) for name in circumstances}, circumstances)
        self.parts: dict[str, Any] = {} if self.differences else dict(earlier.get("parts", {}))
        self.dropped = sorted(earlier.get("parts", {})) if self.differences else []

    def add(self, name: str, result: PartResult | str) -> None:
        """Writes a part's figures, or why there are none, to the file."""
        figures = {"skipped": result} if isinstance(result, str) else result.figures()
        self.parts[name] = {"date": self.now(), **figures}
        write_json({"date": self.now(), **self.circumstances, "units": UNITS, "parts": self.parts}, self.path)

    @staticmethod
    def now() -> str:
        """Date and time, to the second."""
        return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")

"""What a part of the benchmark hands over: raw figures, and how a table shows them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = [
    "QUICK",
    "UNITS",
    "Check",
    "Column",
    "PartResult",
    "Settings",
    "Table",
    "mb_text",
    "plain",
    "seconds_text",
    "table",
]

UNITS = {
    "seconds": "s",
    "mb": "2^20 bytes",
    "db": "dB",
    "ratio": "as the name of the ratio says, within one run",
    "share": "part of 1",
}
"""Of the figures in the JSON file, by the last word of their names."""


@dataclass(frozen=True)
class Settings:
    """How large and how thorough a run is.

    Args:
        views: numbers of views through the projector.
        size: pixels and voxels per side.
        batch: items of a training step.
        repeats: runs of each case, of which the fastest counts.
        quick: small networks and outputs, to see that it works.
        full: time the straightforward implementation on every voxel instead of on some.
        amp: train in mixed precision, too.
        compiled: train with torch.compile, too.
    """

    views: Sequence[int] = (24, 200)
    size: int = 256
    batch: int = 2
    repeats: int = 3
    quick: bool = False
    full: bool = False
    amp: bool = False
    compiled: bool = False


QUICK: dict[str, Any] = {"views": (4, 20), "size": 32, "batch": 1, "repeats": 1}
"""Settings that take seconds."""


class Column(NamedTuple):
    """A column of a table: its heading, the figure it shows, and how."""

    heading: str
    key: str
    text: Callable[[Any], str] = str


class Table(NamedTuple):
    """Raw figures, row by row, the columns to show, and what to know when reading them."""

    rows: list[dict[str, Any]]
    columns: Sequence[Column]
    note: str = ""

    def markdown(self) -> str:
        """The table, its note below it."""
        shown = [{column.heading: _cell(column, row.get(column.key)) for column in self.columns} for row in self.rows]
        return table(shown) + (f"\n\n{self.note}" if self.note else "")


class Check(NamedTuple):
    """Something that must hold: what it is, whether it does, the figure found and the one allowed."""

    name: str
    passed: bool
    found: float
    limit: float

    def __str__(self) -> str:
        return f"{'passed' if self.passed else 'FAILED'}: {self.name} (found {self.found:.3g}, limit {self.limit:g})"


@dataclass
class PartResult:
    """All that a part measured.

    Args:
        settings: what its figures depend on.
        tables: by name.
        checks: what was verified.
        details: further figures.
    """

    settings: dict[str, Any]
    tables: dict[str, Table]
    checks: list[Check] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    def figures(self) -> dict[str, Any]:
        """Everything as plain values."""
        return plain(
            {
                "settings": self.settings,
                "tables": {name: one.rows for name, one in self.tables.items()},
                "checks": [check._asdict() for check in self.checks],
                **self.details,
            }
        )

    def markdown(self) -> str:
        """Everything to read."""
        return "\n\n".join([*(one.markdown() for one in self.tables.values()), *map(str, self.checks)])


def table(rows: list[dict[str, str]]) -> str:
    """Rows as a Markdown table."""
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *([row.get(name, "") for name in columns] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def seconds_text(seconds: float) -> str:
    """Seconds with as many digits as they are worth."""
    if seconds < 1:
        return f"{1000 * seconds:.1f} ms"
    return f"{seconds:.2f} s" if seconds < 100 else f"{seconds:.0f} s"


def mb_text(megabytes: float) -> str:
    """Memory with as many digits as it is worth."""
    return f"{megabytes:.0f} MB"


def plain(value: Any) -> Any:
    """The value as JSON can hold it; what is not a number, or not finite, is null."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _cell(column: Column, value: Any) -> str:
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if missing else column.text(value)

"""Where paths lead."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["is_inside", "is_same"]


def is_inside(path: str | os.PathLike, folder: Path) -> bool:
    """Whether a path, after its links, even ones that go round in circles, lies in a resolved folder."""
    return Path(os.path.realpath(path)).is_relative_to(folder)


def is_same(one: str | os.PathLike, other: str | os.PathLike) -> bool:
    """Whether two paths lead to the same place, by whatever spelling or links, hard ones included."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):  # one of them is not there, or is no path at all
        return False

"""Where paths lead, and what is there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from bundle.errors import InputError

__all__ = ["ROOT", "is_inside", "is_same", "refuse_special"]

ROOT = Path(__file__).resolve().parent.parent
"""The bundle's root, where configs and models are."""


def is_inside(path: str | os.PathLike, folder: Path) -> bool:
    """Whether a path, after its links, even ones that go round in circles, lies in a resolved folder."""
    return Path(os.path.realpath(path)).is_relative_to(folder)


def is_same(one: str | os.PathLike, other: str | os.PathLike) -> bool:
    """Whether two paths lead to the same place, by whatever spelling or links, hard ones included."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):  # one of them is not there, or is no path at all
        return False


def refuse_special(path: str | os.PathLike) -> None:
    """Refuses pipes, sockets and devices, which reading would wait for or never end.

    Raises:
        InputError: naming it.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # whoever reads it tells
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise InputError(path, "is a pipe, a socket or a device, not a file.", "Give a file.")

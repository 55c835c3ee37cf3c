"""Where paths lead."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["is_inside"]


def is_inside(path: str | os.PathLike, folder: Path) -> bool:
    """Whether a path, after its links, even ones that go round in circles, lies in a resolved folder."""
    return Path(os.path.realpath(path)).is_relative_to(folder)

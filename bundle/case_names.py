"""Names of cases, which become names of files and folders."""

from __future__ import annotations

__all__ = ["name_fault"]

_LONGEST_NAME = 150  # leaves room for what is added to it in names of 255


def name_fault(name: str) -> str | None:
    """What keeps a name from being a file's, as the end of a sentence; None if nothing does."""
    if "/" in name or "\\" in name:
        return "holds a path separator"
    if ".." in name or name.startswith(".") or not name:
        return "leads elsewhere or is hidden"
    if not name.isprintable():
        return "holds control characters"
    if len(name) > _LONGEST_NAME or len(name.encode()) > _LONGEST_NAME:
        return f"is longer than {_LONGEST_NAME} characters"
    return None

"""Looking for files below a source folder, never outside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bundle.datasets.raw_case import RawCase, RawFile
from bundle.errors import InputError

__all__ = ["SourceTree", "outside_problem", "search"]


@dataclass
class SourceTree:
    """What lies below a folder.

    Args:
        folders: every folder with its files, sorted.
        outside: a case, with its problem, for every linked folder that lies elsewhere and was not entered.
    """

    folders: list[tuple[Path, list[Path]]] = field(default_factory=list)
    outside: list[RawCase] = field(default_factory=list)

    def files(self, *suffixes: str) -> Iterator[Path]:
        """The files with one of the suffixes, whatever their case."""
        for _, files in self.folders:
            yield from (path for path in files if path.name.lower().endswith(suffixes))


def search(folder: Path, source: Path | None = None) -> SourceTree:
    """Lists a folder and its sub-folders, through links, too, as long as they stay inside the source.

    Hidden folders, and the files that macOS writes beside others, are passed over.

    Args:
        folder: where to start, resolved.
        source: folder that links must not leave, resolved; the starting folder if None.
    """
    source = source or folder
    tree = SourceTree()
    entered = set()
    for place, below, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in entered:  # a second way to it, or a loop of links
            below.clear()
            continue
        entered.add(real)
        for name in sorted(below):
            path = Path(place, name)
            if name.startswith(".") or name == "__MACOSX":
                below.remove(name)
            elif path.is_symlink() and not path.resolve().is_relative_to(source):
                below.remove(name)
                tree.outside.append(RawCase(name, name, RawFile(path), problem=outside_problem(path)))
        below.sort()
        tree.folders.append((Path(place), [Path(place, name) for name in sorted(names) if not name.startswith("._")]))
    return tree


def outside_problem(path: Path) -> InputError:
    """The problem of a link out of the source."""
    return InputError(
        path, f"leads out of the source to {path.resolve()}.", "Copy it into the source, or give that folder as source."
    )

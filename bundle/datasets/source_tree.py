"""Looking for files below a source folder, never outside it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bundle.data.dicom_series import NOT_DICOM
from bundle.datasets.raw_case import RawCase, RawFile
from bundle.errors import InputError
from bundle.paths import is_inside

__all__ = ["SourceTree", "folder_problem", "linked_copies", "outside_problem", "search", "unusable"]

_FILES = (*NOT_DICOM, ".dcm")  # what bears other names and leads nowhere may have been a folder


@dataclass
class SourceTree:
    """What lies below a folder.

    Args:
        folders: every folder with its files, sorted.
        problems: an entry for every folder that was not entered: linked from elsewhere, gone, or not to be read.
    """

    folders: list[tuple[Path, list[Path]]] = field(default_factory=list)
    problems: list[RawCase] = field(default_factory=list)

    def files(self, *suffixes: str) -> Iterator[Path]:
        """The files with one of the suffixes, whatever their case."""
        for _, files in self.folders:
            yield from (path for path in files if path.name.lower().endswith(suffixes))


def search(folder: Path, source: Path | None = None) -> SourceTree:
    """Lists a folder and its sub-folders, through links, too, as long as they stay inside the source.

    Every folder is listed once, under its own name where the walk comes by it, since names of folders tell data sets'
    cases; through a link only where it does not. Hidden folders, and the files that macOS writes beside others, are
    passed over.

    Args:
        folder: where to start, resolved.
        source: folder that links must not leave, resolved; the starting folder if None.
    """
    source = source or folder
    tree = SourceTree()
    entered = set()

    def not_entered(error: OSError) -> None:
        path = Path(error.filename)
        if os.path.lexists(path):
            tree.problems.append(unusable(path, _cannot_be_entered(path, error)))

    links: list[Path] = []

    def walk() -> Iterator[tuple[str, list[str], list[str]]]:
        yield from os.walk(folder, onerror=not_entered)
        while links:
            yield from os.walk(links.pop(0), onerror=not_entered)

    for place, below, names in walk():
        real = os.path.realpath(place)
        if real in entered:  # a second way to it, or a loop of links
            below.clear()
            continue
        entered.add(real)
        for name in sorted(below):
            path = Path(place, name)
            if name.startswith(".") or name == "__MACOSX":
                below.remove(name)
            elif path.is_symlink():
                below.remove(name)
                if is_inside(path, source):
                    links.append(path)
                else:
                    tree.problems.append(unusable(path, outside_problem(path)))
        below.sort()
        files = [Path(place, name) for name in sorted(names) if not name.startswith("._")]
        tree.folders.append((Path(place), files))
        for path in files:
            if _leads_nowhere(path) and not path.name.startswith(".") and not path.name.lower().endswith(_FILES):
                problem = folder_problem(path)
                if problem is not None:
                    tree.problems.append(unusable(path, problem))
    return tree


def unusable(path: Path, problem: InputError) -> RawCase:
    """Stands in a list of cases for a folder or an archive whose cases are not known."""
    name = path.stem if path.suffix.lower() == ".zip" else path.name
    return RawCase(name, name, RawFile(path), problem=problem, is_case=False)


def folder_problem(folder: Path) -> InputError | None:
    """Why a folder cannot be looked into: it is a link to nothing, or may not be read; None where it can."""
    try:
        with os.scandir(folder):
            return None
    except OSError as error:
        return _cannot_be_entered(folder, error)


def linked_copies(images: Iterable[RawFile]) -> set[RawFile]:
    """The images that are another one's under the name of a link. Of several links to one, the first is none."""
    kept: dict[tuple[str, str | None], RawFile] = {}
    copies: set[RawFile] = set()
    for image in sorted(images, key=lambda image: (os.path.realpath(image.path) != str(image.path), str(image))):
        if os.path.exists(image.path) and kept.setdefault((os.path.realpath(image.path), image.member), image) != image:
            copies.add(image)
    return copies


def outside_problem(path: Path) -> InputError:
    """The problem of a link out of the source."""
    return InputError(
        path,
        f"leads out of the source to {os.path.realpath(path)}.",
        "Copy it into the source, or give that folder as source.",
    )


def _leads_nowhere(path: Path) -> bool:
    return path.is_symlink() and not os.path.exists(path)


def _cannot_be_entered(folder: Path, error: OSError) -> InputError:
    if _leads_nowhere(folder):
        return InputError(
            folder,
            f"leads to {os.path.realpath(folder)}, which cannot be found.",
            "Mount or copy it, or remove the link.",
        )
    return InputError(folder, f"cannot be read ({error.strerror}).", "Correct its permissions, or copy it again.")

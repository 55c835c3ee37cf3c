"""Output files that are either complete or absent."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bundle.errors import InputError
from bundle.paths import is_inside, is_same

__all__ = [
    "atomic_folder",
    "atomic_path",
    "check_apart",
    "check_output",
    "is_disk_full",
    "remove_partial",
    "replace_folder",
]

PARTIAL_PREFIX = ".partial-"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG, errno.EIO)
_MISNAMED = (errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG)
_FULL_IN_NUMPY = re.compile(r"Not enough free space|requested and \d+ written")  # which gives no error number


def check_output(
    path: str | os.PathLike,
    overwrite: bool,
    suffixes: tuple[str, ...] = ("",),
    folder: bool = False,
    inputs: Collection[str | os.PathLike | None] = (),
) -> Path:
    """Refuses an output that exists, before any work is done.

    Args:
        path: file or folder to be written.
        overwrite: whether it may replace an existing one.
        suffixes: endings that its name may have.
        folder: whether it is a folder, which is replaced with all that it holds.
        inputs: files and folders that are read, which it must not replace.

    Raises:
        InputError: when the name has another suffix, it would replace an input, it exists and may not be replaced, it
            is a folder where a file is to be, or its own folder cannot be made or written to.
    """
    path = Path(path)
    check_apart(path, inputs)
    if folder and any(given is not None and is_inside(given, path.resolve()) for given in inputs):
        raise InputError(path, "holds what it is to be made of, which it would replace.", "Choose another output.")
    if not path.name.lower().endswith(suffixes):
        raise InputError(path, "has a suffix that cannot be written.", f"Let it end in {' or '.join(suffixes)}.")
    if _is_there(path) and not overwrite:
        raise InputError(path, "exists already.", "Choose another output, or set overwrite to true.")
    if path.is_dir() and not folder:
        raise InputError(path, "is a folder.", "Name a file.")
    parent = next(parent for parent in path.absolute().parents if parent.exists())
    if not parent.is_dir():
        raise InputError(path.parent, f"cannot be made: {parent} is a file.", "Choose another output folder.")
    if not os.access(parent, os.W_OK):
        raise InputError(parent, "is not writable.", "Choose another output folder, or change its permissions.")
    return path


def check_apart(path: str | os.PathLike, inputs: Iterable[str | os.PathLike | None]) -> None:
    """Refuses an output that is an input, too, by whatever spelling or links.

    Args:
        path: file or folder to be written.
        inputs: files and folders that are read.

    Raises:
        InputError: naming both.
    """
    for given in inputs:
        if given is not None and is_same(path, given):
            raise InputError(path, f"is {given}, which it is to be made of.", "Choose another output.")


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError) as error:
        told = getattr(error, "strerror", None) or error
        raise InputError(path, f"cannot be a file's name ({told}).", "Choose another output.") from error


def partial_name(path: Path) -> Path:
    """Temporary name of a file that is being written: its ending in small letters, which all writers know."""
    ending = "".join(path.suffixes[-2:])
    return path.with_name(f"{PARTIAL_PREFIX}{os.getpid()}-{path.name.removesuffix(ending)}{ending.lower()}")


def is_disk_full(error: OSError) -> bool:
    """Whether writing failed for want of space."""
    return error.errno in _FULL or (error.errno is None and _FULL_IN_NUMPY.search(str(error)) is not None)


def remove_partial(folder: str | os.PathLike, pattern: str) -> None:
    """Removes what killed runs left half written.

    Args:
        folder: the folder.
        pattern: glob pattern of the final names.
    """
    for leftover in Path(folder).glob(f"{PARTIAL_PREFIX}*-{pattern}"):
        leftover.unlink(missing_ok=True)


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Gives a temporary name in the same folder and renames it on success; removes it on failure.

    The temporary name keeps the suffixes, which writers choose their format by. Give torch.save an open file, not the
    name: its own writer reports a full disk without saying so.

    Raises:
        InputError: when the disk is full or the folder is not writable.
    """
    path = Path(path)
    temporary = partial_name(path)
    with _told_by_name(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            os.replace(temporary, path)
        finally:
            with suppress(OSError):  # its folder may be a file, or gone
                temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Gives a new temporary folder and renames it on success, in place of one that is there; removes it on failure.

    Raises:
        InputError: when the disk is full or the folder is not writable.
    """
    path = Path(path)
    temporary = partial_name(path)
    with _told_by_name(path):
        try:
            shutil.rmtree(temporary, ignore_errors=True)  # of a killed process that had the same number
            temporary.mkdir(parents=True)
            yield temporary
            replace_folder(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def replace_folder(new: Path, folder: Path) -> None:
    """Puts a folder in the place of another, if there is one, which is removed once the new one stands.

    Args:
        new: the new folder, beside the other.
        folder: its name from then on.
    """
    replaced = folder.with_name(f"{PARTIAL_PREFIX}replaced-{folder.name}")
    shutil.rmtree(replaced, ignore_errors=True)
    if folder.exists():
        os.replace(folder, replaced)
    os.replace(new, folder)
    shutil.rmtree(replaced, ignore_errors=True)


@contextmanager
def _told_by_name(path: Path) -> Iterator[None]:
    """Names the output in errors of the file system that a user can mend."""
    try:
        yield
    except OSError as error:
        number = error.errno
        if is_disk_full(error):
            raise InputError(path, "could not be written: the disk is full.", "Free some space and repeat.") from error
        if number in (*_REFUSED, *_MISNAMED):
            raise InputError(
                path,
                f"could not be written ({error.strerror}).",
                "Choose another output folder, or change its permissions.",
            ) from error
        raise

"""Output files that are either complete or absent."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bundle.errors import InputError

__all__ = ["atomic_path", "check_output"]


def check_output(path: str | os.PathLike, overwrite: bool) -> Path:
    """Refuses an output that exists, before any work is done.

    Args:
        path: file to be written.
        overwrite: whether it may replace an existing one.

    Raises:
        InputError: when the file exists and may not be replaced, or its folder cannot be made.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise InputError(path, "exists already.", "Choose another output, or set overwrite to true.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(path.parent, f"cannot be made ({error.strerror}).", "Choose another output folder.") from error
    if not os.access(path.parent, os.W_OK):
        raise InputError(path.parent, "is not writable.", "Choose another output folder, or change its permissions.")
    return path


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Gives a temporary name in the same folder and renames it on success; removes it on failure.

    The temporary name keeps the suffixes, which writers choose their format by.

    Raises:
        InputError: when the disk is full or the folder is not writable.
    """
    path = Path(path)
    temporary = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        # torch reports a failed write as a RuntimeError without an error number.
        number = getattr(error, "errno", None)
        if number == errno.ENOSPC or "file write failed" in str(error):
            raise InputError(path, "could not be written: the disk is full.", "Free some space and repeat.") from error
        if number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise InputError(
                path,
                f"could not be written ({error.strerror}).",
                "Choose another output folder, or change its permissions.",
            ) from error
        raise
    finally:
        with contextlib.suppress(OSError):  # already renamed, or never made
            temporary.unlink()

"""Images inside zip archives, read without unpacking anything into the source."""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from bundle.datasets.raw_case import RawFile
from bundle.errors import InputError

__all__ = ["archive_members", "extracted"]

_ANEW = "Download it again."


def archive_members(archive: Path, suffix: str) -> list[str]:
    """Names of an archive's files with a suffix, sorted.

    Raises:
        InputError: when the archive cannot be opened (it was not downloaded to its end), or a member's name leads out
            of it, is a link or is encrypted.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise InputError(archive, f"is truncated or damaged ({error}).", _ANEW) from error
    for member in members:
        name = PurePosixPath(member.orig_filename)
        if (
            not name.parts
            or name.is_absolute()
            or ".." in name.parts
            or "\\" in member.orig_filename
            or ":" in name.parts[0]
        ):
            raise InputError(archive, f"has a member that leads out of it ({member.orig_filename}).", _ANEW)
        if stat.S_ISLNK(member.external_attr >> 16):
            raise InputError(archive, f"has a member that is a link ({member.filename}).", _ANEW)
        if member.flag_bits & 1:
            raise InputError(archive, f"has an encrypted member ({member.filename}).", "Unpack it with its password.")
    names = (member.filename for member in members)
    return sorted(name for name in names if name.lower().endswith(suffix) and not _from_macos(PurePosixPath(name)))


@contextmanager
def extracted(raw: RawFile) -> Iterator[Path]:
    """Gives a file's own path, or, of an archive's member, one in a temporary folder that lives as long.

    What is raised about the temporary file names the archive and its member instead.

    Raises:
        InputError: when the member is missing or damaged, or the temporary folder is full.
    """
    if raw.member is None:
        yield raw.path
        return
    with tempfile.TemporaryDirectory(prefix="deepsparse-") as folder:
        copy = Path(folder) / PurePosixPath(raw.member).name
        try:
            with zipfile.ZipFile(raw.path) as opened, opened.open(raw.member) as member, open(copy, "wb") as file:
                shutil.copyfileobj(member, file, 1 << 20)
        except (zipfile.BadZipFile, zipfile.LargeZipFile, KeyError, EOFError, NotImplementedError) as error:
            raise InputError(raw, f"is missing or damaged ({error}).", _ANEW) from error
        except OSError as error:
            raise InputError(
                raw, f"could not be unpacked into {folder} ({error.strerror}).", "Free some space, or set TMPDIR."
            ) from error
        except Exception as error:
            if type(error).__module__ not in ("zlib", "lzma"):
                raise
            raise InputError(raw, f"is damaged ({error}).", _ANEW) from error
        try:
            yield copy
        except InputError as error:
            named = error.source.replace(str(copy), str(raw))
            raise InputError(named, error.problem.replace(str(copy), str(raw)), error.remedy) from error


def _from_macos(name: PurePosixPath) -> bool:
    return "__MACOSX" in name.parts or name.name.startswith("._")

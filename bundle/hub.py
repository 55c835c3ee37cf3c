"""Finding weights on the Hugging Face hub, in a folder or in a zip."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from bundle.checksums import file_sha256
from bundle.errors import InputError
from bundle.optional import requiring
from bundle.paths import refuse_special

__all__ = ["WEIGHTS_SUFFIXES", "choose", "weights_file"]

WEIGHTS_SUFFIXES = (".pth", ".pt")
_PACKED = (*WEIGHTS_SUFFIXES, ".zip")
_LISTED = 30  # names that a message shows
MOST_BYTES = 2**32
"""Largest file of a zip: more than any training state of these networks."""


@contextmanager
def weights_file(source: str, name: str | None = None, revision: str | None = None) -> Iterator[Path]:
    """Gives a file of weights, downloaded or extracted where necessary, with the configuration beside it if it has one.

    Args:
        source: a file of weights, a folder, a zip, or a repository of the hub as owner/name.
        name: which file of a repository, folder or zip: its path or a part of it that no other has.
        revision: branch, tag or commit of the repository.

    Raises:
        InputError: when there is no such source or file, the hub cannot be reached, or a download is damaged.
        ImportError: when huggingface_hub is missing.
    """
    path = Path(source)
    is_given = path.is_file()
    if path.is_dir():
        files = [file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]
        path = path / choose(files, name, source, _PACKED)
    elif not path.exists():
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", source):
            raise InputError(source, "does not exist.", "Give a file, a folder, or a repository as owner/name.")
        path = _downloaded(source, name, revision)
    refuse_special(path)
    if not zipfile.is_zipfile(path) or path.suffix.lower() != ".zip":  # files of torch.save are zips, too
        yield path
        return
    with _opened(path) as archive, TemporaryDirectory() as folder:
        members = archive.namelist()
        # Where there are several, the name may be the zip's.
        within = name if is_given or any(str(name) in member for member in members) else None
        chosen = choose(members, within, str(path))
        for member in filter(None, (chosen, _configuration(chosen, members))):
            _extract(archive, member, path, Path(folder))
        yield Path(folder) / PurePosixPath(chosen).name


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip, whose damages are told by its name."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error) as error:
        raise InputError(path, f"is a damaged zip ({error}).", "Get another copy.") from error


def _extract(archive: zipfile.ZipFile, member: str, path: Path, folder: Path) -> None:
    """Unpacks a member, comparing its checksum, to its own name in a folder."""
    entry = archive.getinfo(member)
    if entry.flag_bits & 1:
        raise InputError(path, f"is encrypted ({member}).", "Unpack it with its password, and give the folder.")
    if entry.file_size > MOST_BYTES:
        raise InputError(
            path, f"unpacks to {entry.file_size / 1e9:.0f} GB ({member}).", "Unpack it, and give the folder."
        )
    with archive.open(member) as compressed, open(folder / PurePosixPath(member).name, "wb") as file:
        shutil.copyfileobj(compressed, file)


def choose(files: Sequence[str], name: str | None, source: object, suffixes: tuple[str, ...] = WEIGHTS_SUFFIXES) -> str:
    """The one file that is meant.

    Args:
        files: paths.
        name: one of them, or a part of it that no other has; None if there is but one.
        source: what to name in messages.
        suffixes: endings of the files that count.

    Raises:
        InputError: when none or several are meant; they are listed.
    """
    # macOS puts a file of attributes beside every one.
    named = [file for file in files if not PurePosixPath(file).name.startswith("._")]
    weights = sorted(file for file in named if file.lower().endswith(suffixes))
    meant = [file for file in weights if name is None or name == file] or [f for f in weights if name and name in f]
    if len(meant) == 1:
        return meant[0]
    shown = meant or weights
    listed = ", ".join(shown[:_LISTED]) + (f" and {len(shown) - _LISTED} more" if len(shown) > _LISTED else "")
    problem = "has no weights" if not weights else "has no such weights" if not meant else "has several weights"
    remedy = f"Choose by name: {listed}." if weights else f"Name a source with {' or '.join(suffixes)} files."
    raise InputError(source if name is None else f"{source} {name}", f"{problem}.", remedy)


def _configuration(weights: str, files: Collection[str]) -> str | None:
    """The configuration that lies beside weights."""
    beside = str(PurePosixPath(weights).with_suffix(".json"))
    return beside if beside in files else None


def _downloaded(repository: str, name: str | None, revision: str | None) -> Path:
    """A file of the hub in its cache, checked."""
    with requiring("huggingface_hub", "downloading weights"):
        import huggingface_hub
        from huggingface_hub.errors import HfHubHTTPError

    try:
        files = {
            entry.path: entry
            for entry in huggingface_hub.HfApi().list_repo_tree(repository, recursive=True, revision=revision)
            if isinstance(entry, huggingface_hub.RepoFile)
        }
        chosen = choose(list(files), name, repository, _PACKED)
        configuration = _configuration(chosen, files)
        if configuration is not None:
            huggingface_hub.hf_hub_download(repository, configuration, revision=revision)
        path = Path(huggingface_hub.hf_hub_download(repository, chosen, revision=revision))
    except HfHubHTTPError as error:
        raise InputError(
            repository, f"was refused by the Hugging Face hub ({_first_line(error)}).", "Check its name and revision."
        ) from error
    except Exception as error:
        if not _is_offline(error):
            raise
        raise InputError(
            repository,
            f"cannot be reached on the Hugging Face hub ({_first_line(error)}).",
            "Download the weights on another machine, and give their path as the source.",
        ) from error
    expected = files[chosen].lfs
    if expected is not None and file_sha256(path) != expected.sha256:
        os.unlink(os.path.realpath(path))  # the hub's client would link what it has once more
        raise InputError(f"{repository} {chosen}", "was damaged on its way.", "Repeat the command.")
    return path


def _is_offline(error: Exception) -> bool:
    """Whether an error is one of the network; huggingface_hub speaks through httpx or httpx2, whichever it has."""
    return isinstance(error, OSError) or any(kind.__name__ == "TransportError" for kind in type(error).__mro__)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

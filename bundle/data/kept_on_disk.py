"""Keeping what is made of an item on disk, for runs that go on later."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

import bundle
from bundle.atomic import PARTIAL_PREFIX
from bundle.checkpoint import read_checkpoint, save_checkpoint
from bundle.checksums import file_sha256
from bundle.data.volume_files import volume_files
from bundle.errors import InputError

__all__ = ["KeptOnDisk"]

_HALVED = 4096  # tensors of single precision with more values are stored in half


class KeptOnDisk:
    """Makes an item once, and reads it from then on.

    Large tensors are given in half precision, made or read, so that it makes no difference which.

    Args:
        make: makes items.
        folder: where to keep them; they are only made if None.
        at_most: files to keep, the latest; a few more than are in use at once.
        made_with: the settings that decide what is made. Items made with others lie in another folder inside of it.
    """

    def __init__(
        self,
        make: Callable[[dict[str, Any]], dict[str, Any]],
        folder: str | os.PathLike | None,
        at_most: int = 1000,
        made_with: object = "",
    ) -> None:
        self.make = make
        settings = _digest(f"{made_with} {bundle.__version__}")
        self.folder = None if folder is None else Path(folder) / settings
        self.at_most = at_most

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        """Makes or reads one item, which is known by its values and by the contents of the files that they name."""
        if self.folder is None:
            return _halved(self.make(item))
        name = re.sub(r"[^\w.-]", "_", str(item["case"]))
        path = self.folder / f"{name}-{_made_of(item)}.pt"
        if path.is_file():
            try:
                return read_checkpoint(path)
            except InputError:  # damaged: made anew
                path.unlink(missing_ok=True)
        made = _halved(self.make(item))
        save_checkpoint(made, path)
        kept = sorted(self._kept())
        for _, old in kept[: max(0, len(kept) - self.at_most)]:
            old.unlink(missing_ok=True)
        return made

    def _kept(self) -> Iterator[tuple[float, Path]]:
        """The kept files with their times; other processes may write and remove some meanwhile."""
        assert self.folder is not None
        for file in self.folder.glob("*.pt"):
            if not file.name.startswith(PARTIAL_PREFIX):
                with suppress(FileNotFoundError):
                    yield file.stat().st_mtime, file


def _made_of(item: dict[str, Any]) -> str:
    """A digest of an item: another data set's file of the same name, or a corrected one, makes another item."""
    parts = []
    for name, value in sorted(item.items()):
        is_volume = isinstance(value, (str, Path)) and os.path.exists(value)
        files = volume_files(Path(value)) if is_volume else []
        contents = " ".join(_contents(str(file), os.stat(file).st_mtime_ns) for file in files)
        parts.append(f"{name} {contents or value}")
    return _digest("\n".join(parts))


@lru_cache(maxsize=4096)
def _contents(path: str, modified: int) -> str:
    return file_sha256(path)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:12]


def _halved(item: dict[str, Any]) -> dict[str, Any]:
    """The item's plain values and tensors, on the CPU, where those that are read come to be."""
    plain = {
        key: torch.as_tensor(v).as_subclass(torch.Tensor).cpu() if hasattr(v, "shape") else v for key, v in item.items()
    }
    return {
        key: v.half() if isinstance(v, torch.Tensor) and v.dtype == torch.float32 and v.numel() > _HALVED else v
        for key, v in plain.items()
    }

"""Damage to the bytes of any file: flipped bits, torn ends, runs of zeros, and things that are no such file."""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from tests.hostile.case import EITHER, REFUSED, Case

__all__ = ["damaged"]

INSTEAD = {
    "noise": np.random.default_rng(5).bytes(3000),
    "text": b"the quick brown fox\n" * 40,
    "zeros": bytes(4000),
    "PNG": b"\x89PNG\r\n\x1a\n" + bytes(500),
    "a web page": b"<!doctype html><html><body>404 Not Found</body></html>",
    "UTF-16": "\ufefftext".encode("utf-16") * 50,
    "a list": b"[1, 2, 3]",
    "an LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n",
}


def damaged(reader: str, file: str, flips: int, right: str, text: bool = False) -> Iterator[Case]:
    """Cases of one file.

    Args:
        reader: a key of COMMANDS.
        file: its path in the folder of sound input.
        flips: number of flipped bits, each a case.
        right: what may become of a changed byte.
        text: whether the format can be cut and still be whole.
    """

    def case(name: str, change: Callable[[bytes], bytes], right: str = REFUSED) -> Case:
        def make(folder: Path) -> None:
            path = folder / file
            path.write_bytes(change(path.read_bytes()))

        return Case(reader, f"{file}: {name}", make, right)

    for n, share in enumerate(_places(file, flips)):
        yield case(f"bit flipped at {share:.4f}", partial(_flip, share=share, bit=n), right)
    for share in (0.0, 0.02, 0.3, 0.7, 0.98):
        yield case(f"cut at {share}", partial(_cut, share=share), EITHER if text and share else REFUSED)
    yield case("without its last byte", lambda content: content[:-1], EITHER if text else REFUSED)
    for share in (0.1, 0.5, 0.9):
        yield case(f"zeros at {share}", partial(_zeros, share=share), right)
    for name, instead in INSTEAD.items():
        yield case(f"{name} instead", lambda _, instead=instead: instead)  # type: ignore[misc]
    replacements = {"absent": None, "a folder": Path.mkdir, "a FIFO": os.mkfifo, "a loop of links": _loop}
    for name, replace in replacements.items():
        yield Case(reader, f"{file}: {name}", lambda folder, replace=replace: _replace(folder / file, replace))


def _places(file: str, count: int) -> np.ndarray:
    """Shares of the file's length, the same in every run: even ones, half of them in the first tenth."""
    rng = np.random.default_rng(zlib.crc32(file.encode()))
    return np.sort(np.concatenate([rng.uniform(0, 0.1, count // 2), rng.uniform(0, 1, count - count // 2)]))


def _cut(content: bytes, share: float) -> bytes:
    return content[: int(share * len(content))]


def _flip(content: bytes, share: float, bit: int) -> bytes:
    changed = bytearray(content)
    changed[int(share * len(changed))] ^= 1 << bit % 8
    return bytes(changed)


def _zeros(content: bytes, share: float) -> bytes:
    start = int(share * len(content))
    end = min(len(content), start + 64)
    run = bytes(end - start)
    if content[start:end] == run:  # they are zeros already
        run = b"\xff" * (end - start)
    return content[:start] + run + content[end:]


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _replace(path: Path, make: Callable[[Path], object] | None) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    if make is not None:
        make(path)

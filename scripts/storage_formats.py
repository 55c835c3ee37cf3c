"""One prepared case in the storages that scripts/benchmark_storage.py compares.

Every one holds ``volume`` [blocks, x, y, z] and ``projections`` [views, V, U] as uint16.
"""

from __future__ import annotations

import asyncio
import io
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bundle.optional import require
from scripts.range_server import RangeFileSystem

__all__ = ["STORAGES", "OpenCase", "Storage"]

Ranges = Callable[[str, Sequence[int], int], bytes | np.ndarray]
"""Reads pieces of one size, from some positions of a named file, into one buffer."""


class OpenCase(Protocol):
    """A case that is ready to be read."""

    def block(self, index: int) -> np.ndarray:
        """One block [x, y, z]."""

    def views(self, index: np.ndarray) -> np.ndarray:
        """Some projections [k, V, U]."""

    def blocks(self) -> np.ndarray:
        """All blocks [blocks, x, y, z]."""


@dataclass(frozen=True)
class Storage:
    """A way to store cases.

    Args:
        write: stores volume and projections in a folder.
        open: opens the folder.
        open_remote: opens it in an object store, by the path there.
    """

    write: Callable[[Path, np.ndarray, np.ndarray], None]
    open: Callable[[Path], OpenCase]
    open_remote: Callable[[RangeFileSystem, str], OpenCase] | None


class MappedCase:
    """Files mapped into memory."""

    def __init__(self, folder: Path) -> None:
        self._volume = np.load(folder / "volume.npy", mmap_mode="r", allow_pickle=False)
        self._projections = np.load(folder / "projections.npy", mmap_mode="r", allow_pickle=False)

    def block(self, index: int) -> np.ndarray:
        return self._volume[index]

    def views(self, index: np.ndarray) -> np.ndarray:
        return self._projections[index]

    def blocks(self) -> np.ndarray:
        return self._volume[:]


class RangedCase:
    """The same files read piece by piece, so that the system reads little ahead."""

    def __init__(self, folder: str, ranges: Ranges) -> None:
        self._ranges = ranges
        self._names = {name: f"{folder}/{name}.npy" for name in ("volume", "projections")}
        self._headers = {name: _npy_header(bytes(ranges(path, [0], 128))) for name, path in self._names.items()}

    def block(self, index: int) -> np.ndarray:
        return self._read("volume", [index])[0]

    def views(self, index: np.ndarray) -> np.ndarray:
        return self._read("projections", index)

    def blocks(self) -> np.ndarray:
        return self._read("volume", range(self._headers["volume"][0][0]))

    def _read(self, name: str, index: Sequence[int] | np.ndarray) -> np.ndarray:
        shape, dtype, offset = self._headers[name]
        size = math.prod(shape[1:]) * dtype.itemsize
        pieces = self._ranges(self._names[name], [offset + int(i) * size for i in index], size)
        return np.frombuffer(pieces, dtype).reshape(len(index), *shape[1:])


class ZarrCase:
    """A zarr group with both arrays."""

    def __init__(self, group: Any) -> None:
        self._volume, self._projections = group["volume"], group["projections"]
        self._sync = require("zarr.core.sync", "zarr", "the benchmark of storages").sync

    def block(self, index: int) -> np.ndarray:
        return self._volume[index]

    def views(self, index: np.ndarray) -> np.ndarray:
        # All requests at once: 3 times faster than oindex, which reads the chunks of a shard one after the other.
        return np.stack(self._sync(self._at_once(index)))

    def blocks(self) -> np.ndarray:
        return self._volume[:]

    async def _at_once(self, index: np.ndarray) -> list[np.ndarray]:
        return await asyncio.gather(*(self._projections.async_array.getitem((int(i),)) for i in index))


def _npy_header(start: bytes) -> tuple[tuple[int, ...], np.dtype, int]:
    stream = io.BytesIO(start)
    np.lib.format.read_magic(stream)
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    return shape, dtype, stream.tell()


def _file_ranges(path: str, starts: Sequence[int], size: int) -> np.ndarray:
    pieces = np.empty((len(starts), size), np.uint8)
    file = os.open(path, os.O_RDONLY)
    try:
        for piece, start in zip(pieces, starts):
            os.preadv(file, [piece], start)
    finally:
        os.close(file)
    return pieces.reshape(-1)


def _write_npy(folder: Path, volume: np.ndarray, projections: np.ndarray) -> None:
    folder.mkdir()
    np.save(folder / "volume.npy", volume, allow_pickle=False)
    np.save(folder / "projections.npy", projections, allow_pickle=False)


def _zarr(sharded: bool, compressors: str | None) -> Storage:
    zarr = require("zarr", "zarr", "the benchmark of storages")

    def write(folder: Path, volume: np.ndarray, projections: np.ndarray) -> None:
        group = zarr.open_group(folder, mode="w", zarr_format=3)
        for name, values in (("volume", volume), ("projections", projections)):
            group.create_array(
                name,
                shape=values.shape,
                dtype=values.dtype,
                chunks=(1, *values.shape[1:]),
                shards=values.shape if sharded else None,
                compressors=compressors,
            )[:] = values

    def open_remote(system: RangeFileSystem, folder: str) -> OpenCase:
        asynchronous = RangeFileSystem(system.port, asynchronous=True)
        store = require("zarr.storage", "zarr", "the benchmark of storages").FsspecStore
        return ZarrCase(zarr.open_group(store(asynchronous, read_only=True, path=folder), mode="r", zarr_format=3))

    return Storage(write, lambda folder: ZarrCase(zarr.open_group(folder, mode="r", zarr_format=3)), open_remote)


STORAGES: dict[str, Callable[[], Storage]] = {
    ".npy, mapped": lambda: Storage(_write_npy, MappedCase, None),
    ".npy, by ranges": lambda: Storage(
        _write_npy,
        lambda folder: RangedCase(str(folder), _file_ranges),
        lambda system, folder: RangedCase(folder, system.ranges),
    ),
    "zarr, sharded": lambda: _zarr(True, None),
    "zarr, sharded, zstd": lambda: _zarr(True, "auto"),
    "zarr, unsharded": lambda: _zarr(False, None),
    "zarr, unsharded, zstd": lambda: _zarr(False, "auto"),
}
"""Makers of storages by name. "auto" is zarr's default compression, zstd."""

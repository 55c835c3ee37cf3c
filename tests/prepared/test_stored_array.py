"""Arrays are read in parts, from files and from object stores."""

from __future__ import annotations

import io
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from bundle.byte_ranges import _fill, is_url, read_bytes
from bundle.errors import InputError
from bundle.prepared.stored_array import StoredArray

fsspec = pytest.importorskip("fsspec", reason="needs fsspec")


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 65535, (5, 4, 3, 2), dtype=np.uint16)


@pytest.fixture(params=["file", "store"])
def stored(request, tmp_path, values) -> StoredArray:
    np.save(tmp_path / "a.npy", values)
    if request.param == "file":
        return StoredArray(tmp_path / "a.npy")
    fsspec.filesystem("memory").pipe("/set/a.npy", (tmp_path / "a.npy").read_bytes())
    return StoredArray("memory://set/a.npy")


def test_parts(stored, values):
    assert len(stored) == 5
    assert (stored.shape, stored.dtype) == (values.shape, values.dtype)
    np.testing.assert_array_equal(stored[3], values[3])
    np.testing.assert_array_equal(stored[-1], values[-1])
    np.testing.assert_array_equal(stored[np.array([4, 0, 4])], values[[4, 0, 4]])
    np.testing.assert_array_equal(stored.read(), values)
    with pytest.raises(IndexError):
        stored[5]


def test_a_store_is_asked_once_for_no_more_than_the_parts(tmp_path, values, monkeypatch):
    np.save(tmp_path / "a.npy", values)
    memory = fsspec.filesystem("memory")
    memory.pipe("/set/b.npy", (tmp_path / "a.npy").read_bytes())
    array = StoredArray("memory://set/b.npy")
    asked = []
    original = type(memory).cat_ranges

    def recorded(self, paths, starts, ends, **options):
        asked.append([end - start for start, end in zip(starts, ends)])
        return original(self, paths, starts, ends, **options)

    monkeypatch.setattr(type(memory), "cat_ranges", recorded)
    np.testing.assert_array_equal(array[np.array([2, 4])], values[[2, 4]])
    assert asked == [[values[2].nbytes] * 2]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_no_file_stays_open(tmp_path, values):
    """A process keeps thousands of arrays."""
    np.save(tmp_path / "a.npy", values)
    before = len(os.listdir("/proc/self/fd"))
    arrays = [StoredArray(tmp_path / "a.npy") for _ in range(20)]
    for array in arrays:
        array[0]
    assert len(os.listdir("/proc/self/fd")) <= before + 1


@pytest.mark.skipif(not os.path.isfile("/proc/self/io"), reason="needs /proc")
def test_a_part_is_all_that_is_read(tmp_path):
    large = np.random.default_rng(0).random((50, 1000))
    np.save(tmp_path / "a.npy", large)
    array = StoredArray(tmp_path / "a.npy")

    def read_so_far() -> int:
        lines = Path("/proc/self/io").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("rchar")).split()[1])

    start = read_so_far()
    counted = read_so_far() - start  # what reading the counter adds
    start = read_so_far()
    np.testing.assert_array_equal(array[np.array([7, 40])], large[[7, 40]])
    assert read_so_far() - start - counted <= 2 * large[0].nbytes + 1000


def test_refused(tmp_path, values):
    np.save(tmp_path / "whole.npy", values)
    damaged = {
        "cut.npy": (tmp_path / "whole.npy").read_bytes()[:-10],
        "text.npy": b"no array at all",
        "empty.npy": b"",
    }
    for name, contents in damaged.items():
        (tmp_path / name).write_bytes(contents)
        with pytest.raises(InputError, match=rf"{re.escape(name)}: is not a stored array"):
            StoredArray(tmp_path / name)
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(values))
    for name in ("objects.npy", "fortran.npy", "missing.npy"):
        with pytest.raises(InputError, match=name):
            StoredArray(tmp_path / name)
    for name in ("objects.npy", "fortran.npy", "text.npy"):
        path = tmp_path / name
        fsspec.filesystem("memory").pipe(f"/set/{name}", path.read_bytes())
        with pytest.raises(InputError, match=name):
            StoredArray(f"memory://set/{name}")


def test_urls():
    assert is_url("s3://bucket/set")
    assert not is_url("/data/set")
    with pytest.raises(InputError, match="cannot be read"):
        read_bytes("memory://nowhere/at.all")


@pytest.mark.parametrize("kept", [0, 1, 10])
def test_objects_that_end_too_early(tmp_path, values, kept):
    np.save(tmp_path / "a.npy", values)
    memory = fsspec.filesystem("memory")
    memory.pipe("/set/cut.npy", (tmp_path / "a.npy").read_bytes())
    array = StoredArray("memory://set/cut.npy")
    start = (tmp_path / "a.npy").stat().st_size - values[4].nbytes
    memory.pipe("/set/cut.npy", (tmp_path / "a.npy").read_bytes()[: start + kept])
    with pytest.raises(InputError, match=r"cut\.npy: cannot be read"):
        array[4]
    memory.rm("/set/cut.npy")
    with pytest.raises(InputError, match=r"cut\.npy: cannot be read"):
        array[0]


def test_no_damaged_header_escapes_as_another_exception(tmp_path, values):
    np.save(tmp_path / "a.npy", values)
    whole = (tmp_path / "a.npy").read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[rng.integers(0, 100)] = rng.integers(0, 256)
        (tmp_path / "b.npy").write_bytes(damaged)
        try:
            StoredArray(tmp_path / "b.npy")
        except InputError:
            refused += 1
    assert refused > 50


def test_parts_that_the_system_gives_bit_by_bit(values):
    """A read gives 2 GiB at most."""

    class Slow(io.BytesIO):
        def readinto(self, buffer):
            return super().readinto(memoryview(buffer)[:7])

    row = np.empty(values[0].nbytes, np.uint8)
    _fill(row, Slow(values[0].tobytes()))
    np.testing.assert_array_equal(row, values[0].reshape(-1).view(np.uint8))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32", "float64", ">u2"])
@pytest.mark.parametrize("shape", [(3,), (2, 5), (4, 1, 2, 3)])
def test_every_kind_of_array_that_is_stored(tmp_path, dtype, shape):
    values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    np.save(tmp_path / "a.npy", values)
    array = StoredArray(tmp_path / "a.npy")
    assert (array.shape, array.dtype) == (values.shape, values.dtype)
    np.testing.assert_array_equal(array.read(), values)
    np.testing.assert_array_equal(array[-1], values[-1])


def test_threads_at_the_same_time(tmp_path, values):
    np.save(tmp_path / "a.npy", values)
    with ThreadPoolExecutor(8) as threads:
        shapes = list(threads.map(lambda _: StoredArray(tmp_path / "a.npy").shape, range(2000)))
    assert set(shapes) == {values.shape}

"""Headers of Varian's projection images: hnd and hnc of the OBI, xim of TrueBeam and ProBeam."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from bundle.errors import InputError
from bundle.scanners.header_parts import DamagedError, Header, check_length, stated_pixel

__all__ = ["hnc_header", "hnd_header", "xim_entries", "xim_header"]

_HND_DATA = 1024  # bytes before the pixels
_HNC_DATA = 512


def _varian_header(path: Path) -> tuple[int, int, tuple[float, float]]:
    """(v, u, pixel_mm) of .hnd and .hnc, whose headers share their layout (RTK's Hnd_header)."""
    with path.open("rb") as file:
        header = file.read(_HNC_DATA)
    columns, rows = struct.unpack_from("<2I", header, 120)
    pixel_u, pixel_v = struct.unpack_from("<2d", header, 352)
    return rows, columns, _varian_pixel(path, pixel_v, pixel_u)


def _varian_pixel(path: Path, pixel_v: float, pixel_u: float) -> tuple[float, float]:
    """(v, u) pixel size in mm; RTK's own is undefined, and stops ITK, where a file has none."""
    pixel_mm = stated_pixel(pixel_v, pixel_u)
    if pixel_mm is None:
        raise InputError(path, "states no pixel size, without which RTK cannot read it.", "Export it with its header.")
    return pixel_mm


def hnc_header(path: Path) -> Header:
    """Varian's HNC: header and plain 16-bit pixels."""
    rows, columns, pixel_mm = _varian_header(path)
    check_length(path.stat().st_size, _HNC_DATA + 2 * rows * columns)
    return Header((1, rows, columns), pixel_mm)


def hnd_header(path: Path) -> Header:
    """Varian's HND: header, table and compressed pixels."""
    rows, columns, pixel_mm = _varian_header(path)
    content = path.read_bytes()
    groups = _groups(rows, columns)
    table = content[_HND_DATA : _HND_DATA + groups]
    check_length(len(content), _HND_DATA + groups + _compressed_length(table, rows, columns))
    return Header((1, rows, columns), pixel_mm)


def xim_header(path: Path) -> Header:
    """Varian's XIM: header, table, pixels, histogram and entries, of which the pixel sizes are in cm."""
    rows, columns, entries = _xim(path)
    pixel = [10.0 * entries.get(name, 0.0) for name in ("PixelHeight", "PixelWidth")]
    return Header((1, rows, columns), _varian_pixel(path, *pixel))


def xim_entries(path: Path) -> dict[str, float]:
    """The single numbers among the named entries at the end of a XIM file that :func:`xim_header` accepts."""
    return _xim(path)[2]


def _xim(path: Path) -> tuple[int, int, dict[str, float]]:
    """(v, u, entries) of a XIM file."""
    content = path.read_bytes()
    if content[:6] != b"VMS.XI":
        raise DamagedError("it does not start with VMS.XI")
    columns, rows, _, _, compressed, table_length = struct.unpack_from("<6i", content, 12)
    if compressed != 1:
        raise InputError(path, "is not compressed, which RTK cannot read.", "Export it as compressed .xim.")
    if min(rows, columns) < 1 or table_length != _groups(rows, columns):
        raise DamagedError(f"it states {rows} rows, {columns} columns and a table of {table_length} bytes")
    position = 36 + table_length
    (length,) = struct.unpack_from("<i", content, position)
    check_length(length, _compressed_length(content[36:position], rows, columns))
    position += 4 + length + 4
    (bins,) = struct.unpack_from("<i", content, position)
    return rows, columns, _xim_properties(content, position + 4 + 4 * bins)


def _xim_properties(content: bytes, position: int) -> dict[str, float]:
    """The single numbers among the named entries at the end of a XIM file."""
    (count,) = struct.unpack_from("<i", content, position)
    position += 4
    numbers = {}
    for _ in range(count):
        (length,) = struct.unpack_from("<i", content, position)
        if not 0 <= length <= 256:
            raise DamagedError(f"it has an entry with a name of {length} bytes")
        name = content[position + 4 : position + 4 + length].decode("latin-1")
        position += 4 + length
        (kind,) = struct.unpack_from("<i", content, position)
        position += 4
        if kind in (0, 1):
            code = "<i" if kind == 0 else "<d"
            (numbers[name],) = struct.unpack_from(code, content, position)
            position += struct.calcsize(code)
        elif kind in (2, 4, 5):  # text, and arrays of both
            (length,) = struct.unpack_from("<i", content, position)
            check_length(len(content) - position - 4, max(length, 0) if length >= 0 else len(content))
            position += 4 + length
        else:
            raise DamagedError(f"its entry {name!r} is of the unknown type {kind}")
    return numbers


def _groups(rows: int, columns: int) -> int:
    """Bytes of the table of a compressed image: one for four of the differences that follow its first row."""
    remainder = columns * (rows - 1) % 4
    if rows < 2 or remainder > 1:
        raise DamagedError(f"{rows} x {columns} pixels do not fill the compression's groups of four")
    return columns * (rows - 1) // 4


def _compressed_length(table: bytes, rows: int, columns: int) -> int:
    """Bytes that a compressed image takes after its table.

    The first row and one more pixel are plain 32-bit numbers; every other pixel is a difference of 1, 2 or 4 bytes,
    which its two bits of the table tell. The last group has three differences if the first pixel of row 1 shares it.
    """
    codes = np.frombuffer(table, np.uint8)[:, None] >> np.arange(0, 8, 2, dtype=np.uint8) & 3
    if (codes == 3).any():
        raise DamagedError("its table has a length that does not exist")
    differences = columns * (rows - 1) - 1
    return 4 * (columns + 1) + int((1 << codes.astype(np.int64)).ravel()[:differences].sum())

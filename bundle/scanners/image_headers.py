"""Headers of projection images, checked against the length of their files."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from bundle.data.meta_image import check_meta_image_voxels, read_meta_image_header
from bundle.errors import InputError
from bundle.scanners.header_parts import DamagedError, Header, check_length, check_unpacked, stated_pixel
from bundle.scanners.tiff_headers import tiff_header
from bundle.scanners.varian_headers import hnc_header, hnd_header, xim_header

__all__ = ["COPY_AGAIN", "read_header"]

COPY_AGAIN = "Copy it again from the scanner."
_HIS_HEADER = 68
_HIS_UNSIGNED_SHORT = 4
_META_LENGTHS = (("elementspacing", "elementsize"), ("offset", "origin", "position"))


def read_header(kind: str, path: Path) -> Header:
    """Header of a file, checked against the file's length."""
    if path.stat().st_size == 0:
        raise InputError(path, "is empty.", COPY_AGAIN)
    try:
        header = _HEADERS[kind](path)
        if min(header.shape) < 1:
            raise DamagedError(f"states the sizes {header.shape}")
    except (DamagedError, struct.error, ValueError, IndexError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(path, f"is damaged or no {kind} image ({error}).", COPY_AGAIN) from error
    return header


def _his_header(path: Path) -> Header:
    """PerkinElmer's HIS: magic 0x7000, then corners (ulx, uly, brx, bry) of the image, frames and kind of number."""
    with path.open("rb") as file:
        header = file.read(_HIS_HEADER)
    (magic,) = struct.unpack_from("<H", header)
    (extra, left, top, right, bottom, frames) = struct.unpack_from("<6H", header, 10)
    (numbers,) = struct.unpack_from("<H", header, 32)
    if magic != 0x7000 or len(header) < _HIS_HEADER:
        raise DamagedError("it does not start with 0x7000 and a whole header")
    if frames != 1 or numbers != _HIS_UNSIGNED_SHORT:
        raise InputError(
            path,
            f"holds {frames} frames of the kind {numbers}; RTK reads one of 16-bit unsigned numbers (kind 4).",
            "Export one frame a file, as unsigned short.",
        )
    rows, columns = bottom - top + 1, right - left + 1
    check_length(path.stat().st_size, _HIS_HEADER + extra + 2 * max(rows, 0) * columns)
    return Header((1, rows, columns))


def _mha_header(path: Path) -> Header:
    """MetaImage: sizes, and pitch and origin where they are written."""
    header = read_meta_image_header(path)
    if len(header.sizes) not in (2, 3):
        raise DamagedError(f"it has {len(header.sizes)} axes")
    if header.entries.get("elementnumberofchannels", "1") != "1":
        raise InputError(path, "has more than one channel.", "Store one number per pixel.")
    columns, rows, frames = (*header.sizes, 1)[:3]
    spacing, origin = (
        next((header.numbers(name) for name in names if name in header.entries), None) for names in _META_LENGTHS
    )
    first = (origin[1], origin[0]) if origin else None
    check_unpacked(header.voxel_bytes, check_meta_image_voxels(header).stat().st_size)
    return Header((frames, rows, columns), stated_pixel(spacing[1], spacing[0]) if spacing else None, first)


_HEADERS: dict[str, Callable[[Path], Header]] = {
    "hnd": hnd_header,
    "hnc": hnc_header,
    "xim": xim_header,
    "his": _his_header,
    "mha": _mha_header,
    "tiff": tiff_header,
}

"""Headers of TIFF images: sizes and pitch, and what ITK would turn or reduce without an error."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from bundle.errors import InputError
from bundle.scanners.header_parts import DamagedError, Header, check_length, check_unpacked, stated_pixel

__all__ = ["tiff_header"]

_TIFF_WIDTH, _TIFF_LENGTH, _TIFF_BITS, _TIFF_COLOURS, _TIFF_SAMPLES, _TIFF_TILE = 256, 257, 258, 262, 277, 322
_TIFF_COMPRESSION, _TIFF_STRIPS, _TIFF_STRIP_BYTES = 259, 273, 279
_TIFF_ORIENTATION, _TIFF_X, _TIFF_Y, _TIFF_UNIT, _TIFF_NUMBERS = 274, 282, 283, 296, 339
_TIFF_DEFAULTS_DPI = (1.0, 72.0, 96.0, 300.0)  # what programs write when they know nothing


def tiff_header(path: Path) -> Header:
    """TIFF and BigTIFF of one or many pages."""
    pages = _tiff_pages(path)
    first = pages[0]
    sizes = {(page[_TIFF_LENGTH], page[_TIFF_WIDTH]) for page in pages}
    if len(sizes) > 1:
        raise InputError(path, f"has pages of different sizes: {sorted(sizes)}.", "Store the views alone.")
    # ITK flips or reduces such images to 8-bit colours without an error.
    odd = {
        "more than one channel": any(page.get(_TIFF_SAMPLES, 1) != 1 for page in pages),
        "tiles": any(_TIFF_TILE in page for page in pages),
        "a turned orientation": any(page.get(_TIFF_ORIENTATION, 1) != 1 for page in pages),
        "floating numbers of another size than 32 bits": any(
            page.get(_TIFF_NUMBERS, 1) == 3 and page.get(_TIFF_BITS, 1) != 32 for page in pages
        ),
        "numbers of another size than 8, 16 or 32 bits": any(
            page.get(_TIFF_BITS, 1) not in (8, 16, 32) for page in pages
        ),
        "colours": any(page.get(_TIFF_COLOURS, 1) not in (0, 1) for page in pages),
    }
    for what, found in odd.items():
        if found:
            raise InputError(path, f"has {what}.", "Save it as plain grey values of 8 or 16 bits or 32-bit floats.")
    mm = {2.0: 25.4, 3.0: 10.0}.get(first.get(_TIFF_UNIT, 0.0))
    resolution = [first.get(tag, 0.0) for tag in (_TIFF_Y, _TIFF_X)]
    pixel = None
    if mm and min(resolution) > 0 and not any(np.isclose(25.4 / mm * r, _TIFF_DEFAULTS_DPI).any() for r in resolution):
        pixel = stated_pixel(*(mm / r for r in resolution))
    rows, columns = sizes.pop()
    for page in pages:
        if page.get(_TIFF_COMPRESSION, 1) == 1:
            check_length(int(page[_TIFF_STRIP_BYTES]), int(rows * columns * page.get(_TIFF_BITS, 1)) // 8)
    check_unpacked(int(len(pages) * rows * columns * first.get(_TIFF_BITS, 1)) // 8, path.stat().st_size)
    return Header((len(pages), int(rows), int(columns)), pixel)


def _tiff_pages(path: Path) -> list[dict[int, float]]:
    """Numbers in the tags of every page (TIFF 6.0 and BigTIFF); of lists the first number, of strips' bytes the sum."""
    pages: list[dict[int, float]] = []
    length = path.stat().st_size
    with path.open("rb") as file:

        def read(code: str, position: int) -> tuple:
            file.seek(position)
            return struct.unpack(order + code, file.read(struct.calcsize(order + code)))

        order = {b"II": "<", b"MM": ">"}.get(file.read(2), "")
        if not order:
            raise DamagedError("it does not start with II or MM")
        (version,) = read("H", 2)
        if version not in (42, 43):
            raise DamagedError(f"its version is {version}")
        big = version == 43
        offset, count_code, entry_bytes = ("Q", "Q", 20) if big else ("I", "H", 12)
        (page,) = read(offset, 8 if big else 4)
        seen = set()
        while page:
            if page in seen:
                raise DamagedError("its pages form a circle")
            seen.add(page)
            (count,) = read(count_code, page)
            start = page + struct.calcsize(count_code)
            tags: dict[int, float] = {}
            strips: dict[int, tuple[int, ...]] = {_TIFF_STRIPS: (), _TIFF_STRIP_BYTES: ()}
            for position in range(start, start + count * entry_bytes, entry_bytes):
                tag, kind, number = read(f"HH{offset}", position)
                code = {3: "H", 4: "I", 5: "2I", 16: "Q"}.get(kind)
                if tag in tags:
                    raise DamagedError(f"page {len(pages)} has the tag {tag} twice")
                if code is None or number < 1:
                    continue
                inline = number * struct.calcsize(order + code) <= struct.calcsize(order + offset)
                value = position + 4 + struct.calcsize(order + offset)
                start_of_values = value if inline else read(offset, value)[0]
                if tag in strips:
                    check_length(length, number * struct.calcsize(order + code))
                    strips[tag] = read(f"{number}{code}", start_of_values)
                numbers = read(code, start_of_values)
                tags[tag] = numbers[0] / numbers[1] if kind == 5 and numbers[1] else numbers[0]
            if not {_TIFF_WIDTH, _TIFF_LENGTH} <= tags.keys():
                raise DamagedError(f"page {len(pages)} has no size")
            starts, counts = strips.values()
            if len(starts) != len(counts):
                raise DamagedError(f"page {len(pages)} has {len(starts)} strips of pixels and {len(counts)} lengths")
            check_length(length, max((sum(strip) for strip in zip(starts, counts)), default=0))
            tags[_TIFF_STRIP_BYTES] = sum(counts)
            pages.append(tags)
            (page,) = read(offset, start + count * entry_bytes)
    if not pages:
        raise DamagedError("it has no page")
    return pages

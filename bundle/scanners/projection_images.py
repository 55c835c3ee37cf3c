"""Projection images of scanners, exactly as their files hold them.

Pixels are decoded by ITK's and RTK's image readers; headers are checked here first, since a damaged one can make a
reader fill an image with nonsense or write outside it. No value is changed and no axis turned: row 0 of the array is
the first row in the file, and which way rows and columns grow on the scanner is for its geometry to say.

| format | endings | values | the file states |
|---|---|---|---|
| hnd | .hnd | Varian OBI, compressed 32-bit counts | pixel size |
| hnc | .hnc | Varian OBI, 16-bit counts | pixel size |
| xim | .xim | Varian TrueBeam, compressed counts | pixel size |
| his | .his | PerkinElmer panels, 16-bit; Elekta's are inverted, see counts.elekta_counts | neither |
| mha | .mha, .mhd | a stack, or one view a file, of any scalar type | pixel size and first pixel, where written |
| tiff | .tif, .tiff | one view a file, or one file of many pages | pixel size, where meant |

What RTK's own ProjectionsReader does beyond that, and this module does not, even with line integrals switched off:

- his: four pixels are cut off each side and every value x becomes 65536 - x (0 and 65535 both become 65535), which is
  right for Elekta only. Its pixel size is 409.6 mm over the number of pixels, Elekta's panel; other makers' differ. It
  takes rows for columns in images that are not square; here the header's corners decide.
- hnd, hnc, xim: nothing is cut or scaled; the first pixel's position is set as if the array were centred, which no
  entry of these files says. hnd and xim are read as unsigned, so that negative counts become about 4.29e9; these are
  refused here, as are files without a pixel size, where RTK's is undefined. No offset or gain is taken from headers.
- mha, tiff: values are kept; a vector image silently gives its first channel and a colour one its brightness (refused
  here). Pixels are 1 mm where a TIFF says nothing.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bundle.errors import InputError
from bundle.optional import require

__all__ = ["ProjectionImages", "list_projection_files", "read_projection_images"]

_FORMATS = {
    ".hnd": "hnd",
    ".hnc": "hnc",
    ".xim": "xim",
    ".his": "his",
    ".mha": "mha",
    ".mhd": "mha",
    ".tif": "tiff",
    ".tiff": "tiff",
}
_READERS = {  # image reader, package
    "hnd": ("HndImageIO", "itk-rtk"),
    "hnc": ("HncImageIO", "itk-rtk"),
    "xim": ("XimImageIO", "itk-rtk"),
    "his": ("HisImageIO", "itk-rtk"),
    "mha": ("MetaImageIO", "itk-io"),
    "tiff": ("TIFFImageIO", "itk-io"),
}
_PURPOSE = "reading projection images"
_COPY_AGAIN = "Copy it again from the scanner."
_HND_DATA = 1024  # bytes before the pixels
_HNC_DATA = 512
_HIS_HEADER = 68
_HIS_UNSIGNED_SHORT = 4
_TIFF_WIDTH, _TIFF_LENGTH, _TIFF_BITS, _TIFF_COLOURS, _TIFF_SAMPLES, _TIFF_TILE = 256, 257, 258, 262, 277, 322
_TIFF_ORIENTATION, _TIFF_X, _TIFF_Y, _TIFF_UNIT, _TIFF_NUMBERS = 274, 282, 283, 296, 339
_TIFF_DEFAULTS_DPI = (1.0, 72.0, 96.0, 300.0)  # what programs write when they know nothing


@dataclass(frozen=True, eq=False)
class ProjectionImages:
    """Projection images as stored, neither corrected nor log-transformed.

    Args:
        values: [view, v, u] float32; integers of up to 24 bits are exact.
        pixel_mm: pixel pitch (v, u) on the detector, or None where the files do not state it.
        first_pixel_mm: (v, u) position of the first pixel's centre relative to the file's own origin, or None where
            the files state none. Only mha does.
        format: "hnd", "hnc", "xim", "his", "mha" or "tiff".
    """

    values: np.ndarray
    pixel_mm: tuple[float, float] | None
    first_pixel_mm: tuple[float, float] | None
    format: str


@dataclass(frozen=True)
class _Header:
    """What a file says before its pixels: shape (frames, v, u), and both (v, u) lengths if it states them."""

    shape: tuple[int, int, int]
    pixel_mm: tuple[float, float] | None = None
    first_pixel_mm: tuple[float, float] | None = None


class _ImageMemory:
    """Lets an array use an ITK image's memory and keep the image alive, which views of ITK's own arrays do not."""

    def __init__(self, image: object, view: np.ndarray) -> None:
        self.image = image
        self.__array_interface__ = view.__array_interface__


class _DamagedError(Exception):
    """A header that contradicts its file; becomes an InputError that names the file."""


def list_projection_files(paths: str | os.PathLike | Iterable[str | os.PathLike]) -> tuple[str, list[Path]]:
    """Finds the files of one scan, in the order of their views.

    Args:
        paths: files, whose order is kept; one file; or a folder, from which all files of the one supported format in
            it are taken, sorted by name with numbers by their value (view2 before view10). Hidden files and other
            formats' files, such as text and XML, are left aside.

    Returns:
        The format's short name and the files.

    Raises:
        InputError: when a file is missing, none is of a supported format, or there are several formats.
    """
    if isinstance(paths, (str, os.PathLike)):
        source = Path(paths)
        if source.is_dir():
            names = (p for p in source.iterdir() if p.is_file() and not p.name.startswith("."))
            files = sorted((p for p in names if p.suffix.lower() in _FORMATS), key=_natural)
            remedy = f"Give a folder with files that end in {', '.join(_FORMATS)}."
        else:
            files, remedy = [source], ""
    else:
        source, files, remedy = "projections", [Path(path) for path in paths], "Name at least one file."
    if not files:
        raise InputError(source, "has no projection images.", remedy)
    for path in files:
        if not path.is_file():
            raise InputError(path, "does not exist, or is no file.", "Check the path.")
        if path.suffix.lower() not in _FORMATS:
            raise InputError(path, "is of no supported format.", f"Give files that end in {', '.join(_FORMATS)}.")
    formats = sorted({_FORMATS[path.suffix.lower()] for path in files})
    if len(formats) > 1:
        raise InputError(source, f"has files of several formats: {', '.join(formats)}.", "Name the files of one scan.")
    return formats[0], files


def read_projection_images(paths: str | os.PathLike | Iterable[str | os.PathLike]) -> ProjectionImages:
    """Reads the projection images of one scan. Only one copy of the stack is held in memory.

    Args:
        paths: files, one file or a folder, as in :func:`list_projection_files`.

    Returns:
        The images as stored.

    Raises:
        InputError: when there are no files, one is missing, empty, damaged, holds colours or another kind of pixel
            than its format's readers understand, or files disagree in size.
        ImportError: when the reader's package is missing.
    """
    kind, files = list_projection_files(paths)
    headers = [_read_header(kind, path) for path in files]
    first = headers[0]
    for path, header in zip(files, headers):
        for what, one, other in (
            ("pixels (v, u)", header.shape[1:], first.shape[1:]),
            ("pixel sizes in mm (v, u)", header.pixel_mm, first.pixel_mm),
            ("first pixels in mm (v, u)", header.first_pixel_mm, first.first_pixel_mm),
        ):
            if one != other:
                raise InputError(path, f"has {what} {one} where {files[0]} has {other}.", "Name the files of one scan.")
        if len(files) > 1 and header.shape[0] > 1:
            raise InputError(path, f"holds {header.shape[0]} views.", "Give one stack alone, or files of one view.")
    values = _read_pixels(kind, files)
    shape = (len(files) if len(files) > 1 else first.shape[0], *first.shape[1:])
    if kind == "his":  # RTK swaps the sides; the order of the pixels is right
        values = values.reshape(len(values), *values.shape[:0:-1])
    if values.shape != shape:
        raise InputError(files[0], f"holds {values.shape} values where its header says {shape}.", _COPY_AGAIN)
    if kind in ("hnd", "xim") and values.max() >= 2.0**31:
        view = int(np.unravel_index(values.argmax(), shape)[0])
        raise InputError(
            files[view], "holds negative counts, which RTK cannot read.", "Export it without the offset correction."
        )
    return ProjectionImages(values, first.pixel_mm, first.first_pixel_mm, kind)


def _natural(path: Path) -> tuple[list, str]:
    """Sorts runs of digits by value; the name itself settles ties such as 1 and 01."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"([0-9]+)", path.name)], path.name


def _read_header(kind: str, path: Path) -> _Header:
    """Header of a file, checked against the file's length."""
    try:
        header = _HEADERS[kind](path)
        if min(header.shape) < 1:
            raise _DamagedError(f"states the sizes {header.shape}")
    except (_DamagedError, struct.error, ValueError, IndexError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        problem = "is empty." if path.stat().st_size == 0 else f"is damaged or no {kind} image ({error})."
        raise InputError(path, problem, _COPY_AGAIN) from error
    return header


def _read_pixels(kind: str, files: Sequence[Path]) -> np.ndarray:
    """[view, v, u] float32 stored values, through ITK; the stack is not copied."""
    name, package = _READERS[kind]
    itk = require("itk", package, _PURPOSE)
    if package == "itk-rtk" and not hasattr(itk, "RTK"):
        require("itk.RTK", package, _PURPOSE)  # ITK without RTK: says what to install
    reader = itk.ImageSeriesReader[itk.Image[itk.F, 3]].New()
    reader.SetFileNames([str(path) for path in files])
    reader.SetImageIO(getattr(itk, name).New())
    try:
        reader.Update()
    except RuntimeError as error:
        if len(files) > 1:  # ITK names the first file, whichever fails
            for path in files:
                _read_pixels(kind, [path])
        reason = " ".join(str(error).split("):")[-1].split())
        raise InputError(files[0], f"cannot be read ({reason}).", _COPY_AGAIN) from error
    image = reader.GetOutput()
    if not np.array_equal(itk.array_from_matrix(image.GetDirection()), np.eye(3)):
        raise InputError(
            files[0], "turns its axes (TransformMatrix).", "Store the stack as (u, v, view) with the identity matrix."
        )
    return np.asarray(_ImageMemory(image, itk.array_view_from_image(image)))


def _varian_header(path: Path) -> tuple[int, int, tuple[float, float]]:
    """(v, u, pixel_mm) of .hnd and .hnc, whose headers share their layout (RTK's Hnd_header)."""
    with path.open("rb") as file:
        header = file.read(_HNC_DATA)
    columns, rows = struct.unpack_from("<2I", header, 120)
    pixel_u, pixel_v = struct.unpack_from("<2d", header, 352)
    return rows, columns, _varian_pixel(path, pixel_v, pixel_u)


def _varian_pixel(path: Path, pixel_v: float, pixel_u: float) -> tuple[float, float]:
    """(v, u) pixel size in mm; RTK's own is undefined, and stops ITK, where a file has none."""
    pixel_mm = _stated(pixel_v, pixel_u)
    if pixel_mm is None:
        raise InputError(path, "states no pixel size, without which RTK cannot read it.", "Export it with its header.")
    return pixel_mm


def _hnc_header(path: Path) -> _Header:
    rows, columns, pixel_mm = _varian_header(path)
    _check_length(path.stat().st_size, _HNC_DATA + 2 * rows * columns)
    return _Header((1, rows, columns), pixel_mm)


def _hnd_header(path: Path) -> _Header:
    rows, columns, pixel_mm = _varian_header(path)
    content = path.read_bytes()
    groups = _groups(rows, columns)
    table = content[_HND_DATA : _HND_DATA + groups]
    _check_length(len(content), _HND_DATA + groups + _compressed_length(table, rows, columns))
    return _Header((1, rows, columns), pixel_mm)


def _xim_header(path: Path) -> _Header:
    """Varian's XIM: header, table, pixels, histogram and properties, of which the pixel sizes are in cm."""
    content = path.read_bytes()
    if content[:6] != b"VMS.XI":
        raise _DamagedError("it does not start with VMS.XI")
    columns, rows, _, _, compressed, table_length = struct.unpack_from("<6i", content, 12)
    if compressed != 1:
        raise InputError(path, "is not compressed, which RTK cannot read.", "Export it as compressed .xim.")
    if min(rows, columns) < 1 or table_length != _groups(rows, columns):
        raise _DamagedError(f"it states {rows} rows, {columns} columns and a table of {table_length} bytes")
    position = 36 + table_length
    (length,) = struct.unpack_from("<i", content, position)
    _check_length(length, _compressed_length(content[36:position], rows, columns))
    position += 4 + length + 4
    (bins,) = struct.unpack_from("<i", content, position)
    properties = _xim_properties(content, position + 4 + 4 * bins)
    pixel = [10.0 * properties.get(name, 0.0) for name in ("PixelHeight", "PixelWidth")]
    return _Header((1, rows, columns), _varian_pixel(path, *pixel))


def _xim_properties(content: bytes, position: int) -> dict[str, float]:
    """The single numbers among the named entries at the end of a XIM file."""
    (count,) = struct.unpack_from("<i", content, position)
    position += 4
    numbers = {}
    for _ in range(count):
        (length,) = struct.unpack_from("<i", content, position)
        if not 0 <= length <= 256:
            raise _DamagedError(f"it has an entry with a name of {length} bytes")
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
            _check_length(len(content) - position - 4, max(length, 0) if length >= 0 else len(content))
            position += 4 + length
        else:
            raise _DamagedError(f"its entry {name!r} is of the unknown type {kind}")
    return numbers


def _groups(rows: int, columns: int) -> int:
    """Bytes of the table of a compressed image: one for four of the differences that follow its first row."""
    remainder = columns * (rows - 1) % 4
    if rows < 2 or remainder > 1:
        raise _DamagedError(f"{rows} x {columns} pixels do not fill the compression's groups of four")
    return columns * (rows - 1) // 4


def _compressed_length(table: bytes, rows: int, columns: int) -> int:
    """Bytes that a compressed image takes after its table.

    The first row and one more pixel are plain 32-bit numbers; every other pixel is a difference of 1, 2 or 4 bytes,
    which its two bits of the table tell. The last group has three differences if the first pixel of row 1 shares it.
    """
    codes = np.frombuffer(table, np.uint8)[:, None] >> np.arange(0, 8, 2, dtype=np.uint8) & 3
    if (codes == 3).any():
        raise _DamagedError("its table has a length that does not exist")
    differences = columns * (rows - 1) - 1
    return 4 * (columns + 1) + int((1 << codes.astype(np.int64)).ravel()[:differences].sum())


def _his_header(path: Path) -> _Header:
    """PerkinElmer's HIS: magic 0x7000, then corners (ulx, uly, brx, bry) of the image, frames and kind of number."""
    with path.open("rb") as file:
        header = file.read(_HIS_HEADER)
    (magic,) = struct.unpack_from("<H", header)
    (extra, left, top, right, bottom, frames) = struct.unpack_from("<6H", header, 10)
    (numbers,) = struct.unpack_from("<H", header, 32)
    if magic != 0x7000 or len(header) < _HIS_HEADER:
        raise _DamagedError("it does not start with 0x7000 and a whole header")
    if frames != 1 or numbers != _HIS_UNSIGNED_SHORT:
        raise InputError(
            path,
            f"holds {frames} frames of the kind {numbers}; RTK reads one of 16-bit unsigned numbers (kind 4).",
            "Export one frame a file, as unsigned short.",
        )
    rows, columns = bottom - top + 1, right - left + 1
    _check_length(path.stat().st_size, _HIS_HEADER + extra + 2 * max(rows, 0) * columns)
    return _Header((1, rows, columns))


def _mha_header(path: Path) -> _Header:
    """MetaImage: lines of "name = value" up to ElementDataFile."""
    entries = {}
    with path.open("rb") as file:
        for line in iter(lambda: file.readline(4096), b""):
            name, _, value = line.decode("latin-1").partition("=")
            entries[name.strip()] = value.strip()
            if name.strip() == "ElementDataFile":
                break
        else:
            raise _DamagedError("it has no ElementDataFile")
    sizes = [int(size) for size in entries.get("DimSize", "").split()]
    if len(sizes) not in (2, 3):
        raise _DamagedError(f"it has {len(sizes)} axes")
    if entries.get("ElementNumberOfChannels", "1") != "1":
        raise InputError(path, "has more than one channel.", "Store one number per pixel.")
    columns, rows, frames = (*sizes, 1)[:3]
    lengths = {name: [float(v) for v in value.split()[:2]] for name, value in entries.items() if name in _META_LENGTHS}
    spacing = lengths.get("ElementSpacing") or lengths.get("ElementSize")
    origin = lengths.get("Offset") or lengths.get("Origin") or lengths.get("Position")
    first = (origin[1], origin[0]) if origin else None
    return _Header((frames, rows, columns), _stated(spacing[1], spacing[0]) if spacing else None, first)


_META_LENGTHS = ("ElementSpacing", "ElementSize", "Offset", "Origin", "Position")


def _tiff_header(path: Path) -> _Header:
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
    mm = {2: 25.4, 3: 10.0}.get(first.get(_TIFF_UNIT))
    resolution = [first.get(tag, 0.0) for tag in (_TIFF_Y, _TIFF_X)]
    pixel = None
    if mm and min(resolution) > 0 and not any(np.isclose(25.4 / mm * r, _TIFF_DEFAULTS_DPI).any() for r in resolution):
        pixel = _stated(*(mm / r for r in resolution))
    return _Header((len(pages), *sizes.pop()), pixel)


def _tiff_pages(path: Path) -> list[dict[int, float]]:
    """Numbers in the tags of every page (TIFF 6.0 and BigTIFF); of lists only the first number."""
    pages = []
    with path.open("rb") as file:

        def read(code: str, position: int) -> tuple:
            file.seek(position)
            return struct.unpack(order + code, file.read(struct.calcsize(order + code)))

        order = {b"II": "<", b"MM": ">"}.get(file.read(2))
        if order is None:
            raise _DamagedError("it does not start with II or MM")
        (version,) = read("H", 2)
        if version not in (42, 43):
            raise _DamagedError(f"its version is {version}")
        big = version == 43
        offset, count_code, entry_bytes = ("Q", "Q", 20) if big else ("I", "H", 12)
        (page,) = read(offset, 8 if big else 4)
        seen = set()
        while page:
            if page in seen:
                raise _DamagedError("its pages form a circle")
            seen.add(page)
            (count,) = read(count_code, page)
            start = page + struct.calcsize(count_code)
            tags = {}
            for position in range(start, start + count * entry_bytes, entry_bytes):
                tag, kind, number = read(f"HH{offset}", position)
                code = {3: "H", 4: "I", 5: "2I", 16: "Q"}.get(kind)
                if code is None or number < 1:
                    continue
                inline = number * struct.calcsize(order + code) <= struct.calcsize(order + offset)
                value = position + 4 + struct.calcsize(order + offset)
                numbers = read(code, value if inline else read(offset, value)[0])
                tags[tag] = numbers[0] / numbers[1] if kind == 5 and numbers[1] else numbers[0]
            if not {_TIFF_WIDTH, _TIFF_LENGTH} <= tags.keys():
                raise _DamagedError(f"page {len(pages)} has no size")
            pages.append(tags)
            (page,) = read(offset, start + count * entry_bytes)
    if not pages:
        raise _DamagedError("it has no page")
    return pages


def _stated(pixel_v: float, pixel_u: float) -> tuple[float, float] | None:
    """The pixel size, or None if it cannot be one (zero in headers that were not filled in)."""
    possible = all(np.isfinite(p) and 1e-4 < p < 100.0 for p in (pixel_v, pixel_u))
    return (float(pixel_v), float(pixel_u)) if possible else None


def _check_length(length: int, needed: int) -> None:
    if length < needed:
        raise _DamagedError(f"{length} bytes where {needed} are needed")


_HEADERS: dict[str, Callable[[Path], _Header]] = {
    "hnd": _hnd_header,
    "hnc": _hnc_header,
    "xim": _xim_header,
    "his": _his_header,
    "mha": _mha_header,
    "tiff": _tiff_header,
}

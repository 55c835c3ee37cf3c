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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bundle.data.meta_image import check_meta_image_voxels, read_meta_image_header
from bundle.errors import InputError
from bundle.optional import require
from bundle.scanners.file_order import in_order
from bundle.scanners.header_parts import Header
from bundle.scanners.image_headers import COPY_AGAIN, read_header

__all__ = ["ProjectionImages", "list_projection_files", "read_projection_headers", "read_projection_images"]

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


class _ImageMemory:
    """Lets an array use an ITK image's memory and keep the image alive, which views of ITK's own arrays do not."""

    def __init__(self, image: object, view: np.ndarray) -> None:
        self.image = image
        self.__array_interface__ = view.__array_interface__


def list_projection_files(paths: str | os.PathLike | Iterable[str | os.PathLike]) -> tuple[str, list[Path]]:
    """Finds the files of one scan, in the order of their views.

    Args:
        paths: files, whose order is kept; one file; or a folder, from which all files of the one supported format in
            it are taken, sorted by :func:`bundle.scanners.file_order.in_order` (view2 before view10, -30.0 before
            0.25). Hidden files and other formats' files, such as text and XML, are left aside.

    Returns:
        The format's short name and the files.

    Raises:
        InputError: when a file is missing, none is of a supported format, there are several formats, or the order of
            a folder's names is not clear.
    """
    if isinstance(paths, (str, os.PathLike)):
        place = Path(paths)
        source = str(place)
        if place.is_dir():
            names = (p for p in place.iterdir() if p.is_file() and not p.name.startswith("."))
            files = in_order(place, [p for p in names if p.suffix.lower() in _FORMATS])
            remedy = f"Give a folder with files that end in {', '.join(_FORMATS)}."
        else:
            files, remedy = [place], ""
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
    kind, files, header = read_projection_headers(paths)
    for path in files if kind == "mha" else []:
        check_meta_image_voxels(read_meta_image_header(path), thoroughly=True)
    values = _read_pixels(kind, files)
    if kind == "his":  # RTK swaps the sides; the order of the pixels is right
        values = values.reshape(len(values), *values.shape[:0:-1])
    if values.shape != header.shape:
        raise InputError(files[0], f"holds {values.shape} values where its header says {header.shape}.", COPY_AGAIN)
    if kind in ("hnd", "xim") and values.max() >= 2.0**31:
        view = int(np.unravel_index(values.argmax(), values.shape)[0])
        raise InputError(
            files[view], "holds negative counts, which RTK cannot read.", "Export it without the offset correction."
        )
    return ProjectionImages(values, header.pixel_mm, header.first_pixel_mm, kind)


def read_projection_headers(
    paths: str | os.PathLike | Iterable[str | os.PathLike],
) -> tuple[str, list[Path], Header]:
    """Reads what the projection images of one scan say before their pixels.

    Args:
        paths: files, one file or a folder, as in :func:`list_projection_files`.

    Returns:
        The format's short name, the files, and one header for all of them: shape [view, v, u], pixel_mm and
        first_pixel_mm as in :class:`ProjectionImages`.

    Raises:
        InputError: when there are no files, one is missing, empty or damaged, or files disagree.
    """
    kind, files = list_projection_files(paths)
    headers = [read_header(kind, path) for path in files]
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
    return kind, files, replace(first, shape=(len(files) if len(files) > 1 else first.shape[0], *first.shape[1:]))


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
        raise InputError(files[0], f"cannot be read ({reason}).", COPY_AGAIN) from error
    image = reader.GetOutput()
    if not np.array_equal(itk.array_from_matrix(image.GetDirection()), np.eye(3)):
        raise InputError(
            files[0], "turns its axes (TransformMatrix).", "Store the stack as (u, v, view) with the identity matrix."
        )
    return np.asarray(_ImageMemory(image, itk.array_view_from_image(image)))

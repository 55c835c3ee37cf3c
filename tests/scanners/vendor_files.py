"""Writers of scanners' projection files, from the formats' public descriptions, for tests to read back with RTK.

Varian's header is the table of fields that RTK documents in rtkHndImageIO.h (hnc has the same); XIM follows Varian's
description of the format; HIS follows PerkinElmer's file header; MetaImage and TIFF are public standards. Only what
a reader looks at is filled in.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

__all__ = ["write_his", "write_hnc", "write_hnd", "write_mha_stack", "write_tiffs", "write_xim"]


def write_hnd(path: Path, image: np.ndarray, pixel_mm: tuple[float, float], angle_deg: float = 0.0) -> None:
    """Writes [v, u] counts as Varian OBI's compressed .hnd; the pixel is (v, u)."""
    table, data = _compress(image)
    path.write_bytes(_varian_header(1024, image, pixel_mm, angle_deg) + table + data)


def write_hnc(path: Path, image: np.ndarray, pixel_mm: tuple[float, float], angle_deg: float = 0.0) -> None:
    """Writes [v, u] counts as Varian's uncompressed 16-bit .hnc; the pixel is (v, u)."""
    path.write_bytes(_varian_header(512, image, pixel_mm, angle_deg) + image.astype("<u2").tobytes())


def write_xim(
    path: Path,
    image: np.ndarray,
    pixel_mm: tuple[float, float] | None,
    properties: Mapping[str, int | float | str | np.ndarray] | None = None,
    compressed: bool = True,
) -> None:
    """Writes [v, u] counts as Varian TrueBeam's .xim; the pixel (v, u), in cm in the file, may be left out."""
    rows, columns = image.shape
    content = struct.pack("<8s6i", b"VMS.XI", 1, columns, rows, 32, 4, int(compressed))
    plain = image.astype("<i4").tobytes()
    if compressed:
        table, data = _compress(image)
        content += struct.pack("<i", len(table)) + table + struct.pack("<i", len(data)) + data
        content += struct.pack("<i", len(plain))
    else:
        content += struct.pack("<i", len(plain)) + plain
    content += struct.pack("<4i", 3, 10, 20, 30)  # a histogram of three bins
    entries = {} if pixel_mm is None else {"PixelHeight": pixel_mm[0] / 10, "PixelWidth": pixel_mm[1] / 10}
    entries |= dict(properties or {})
    content += struct.pack("<i", len(entries))
    for name, value in entries.items():
        content += struct.pack("<i", len(name)) + name.encode() + _xim_value(value)
    path.write_bytes(content)


def write_his(path: Path, image: np.ndarray, frames: int = 1, numbers: int = 4) -> None:
    """Writes [v, u] stored 16-bit values as PerkinElmer's .his, with the 32 bytes of image header that Elekta has."""
    rows, columns = image.shape
    # type, header size, version, file size, image header size, ulx, uly, brx, bry, frames, corrections, frame time
    header = struct.pack(
        "<HHHIHHHHHHHdH", 0x7000, 68, 100, 100 + 2 * image.size, 32, 1, 1, columns, rows, frames, 0, 0.0, numbers
    )
    path.write_bytes(header.ljust(68, b"\0") + bytes(32) + image.astype("<u2").tobytes())


def write_mha_stack(path: Path, stack: np.ndarray, **entries: str | None) -> None:
    """Writes [view, v, u] or [v, u] as MetaImage; entries are added to the header, or taken out of it if None."""
    kinds = {"u1": "UCHAR", "u2": "USHORT", "i2": "SHORT", "u4": "UINT", "f4": "FLOAT", "f8": "DOUBLE"}
    stored = stack.astype(stack.dtype.newbyteorder("<"))
    header = {
        "ObjectType": "Image",
        "NDims": str(stack.ndim),
        "DimSize": " ".join(str(n) for n in reversed(stack.shape)),
        "ElementType": f"MET_{kinds[stack.dtype.str[1:]]}",
        **entries,
    }
    text = "".join(f"{name} = {value}\n" for name, value in header.items() if value is not None)
    if path.suffix == ".mhd":
        path.with_suffix(".raw").write_bytes(stored.tobytes())
        path.write_text(f"{text}ElementDataFile = {path.with_suffix('.raw').name}\n")
    else:
        path.write_bytes(f"{text}ElementDataFile = LOCAL\n".encode() + stored.tobytes())


def write_tiffs(folder: Path, stack: np.ndarray, names: list[str], **options) -> list[Path]:
    """Writes [view, v, u] as one TIFF a view, with tifffile's options; returns the files in the order of the views."""
    tifffile = pytest.importorskip("tifffile", reason="needs tifffile")
    files = [folder / name for name in names]
    for path, image in zip(files, stack):
        tifffile.imwrite(path, image, **options)
    return files


def _varian_header(length: int, image: np.ndarray, pixel_mm: tuple[float, float], angle_deg: float) -> bytes:
    header = bytearray(length)
    struct.pack_into("<32sI", header, 0, b"VARIAN_VA_INTERNAL_1.0", length)
    struct.pack_into("<2I", header, 120, image.shape[1], image.shape[0])  # SizeX, SizeY
    struct.pack_into("<2d", header, 352, pixel_mm[1], pixel_mm[0])  # dIDUResolutionX, dIDUResolutionY
    struct.pack_into("<d", header, 432, angle_deg)  # dCTProjectionAngle
    return bytes(header)


def _compress(image: np.ndarray) -> tuple[bytes, bytes]:
    """Varian's compression: the first row and a pixel plain, then what each pixel differs from its neighbours' plane.

    Differences take 1, 2 or 4 bytes; two bits each, four to a byte and the first lowest, say which.
    """
    flat = image.astype(np.int64).ravel()
    columns = image.shape[1]
    data = flat[: columns + 1].astype("<u4").tobytes()
    left, above, corner = flat[columns:-1], flat[1:-columns], flat[: -columns - 1]
    codes = []
    for difference in (flat[columns + 1 :] - left - above + corner).tolist():
        code = 0 if -128 <= difference < 128 else 1 if -32768 <= difference < 32768 else 2
        codes.append(code)
        data += struct.pack("<" + "bhi"[code], difference)
    codes += [0] * (-len(codes) % 4)
    table = bytes(a | b << 2 | c << 4 | d << 6 for a, b, c, d in zip(*[iter(codes)] * 4))
    return table, data


def _xim_value(value: int | float | str | np.ndarray) -> bytes:
    if isinstance(value, str):
        return struct.pack("<2i", 2, len(value)) + value.encode()
    if isinstance(value, np.ndarray):
        whole = value.dtype.kind == "i"
        stored = value.astype("<i4" if whole else "<f8").tobytes()
        return struct.pack("<2i", 5 if whole else 4, len(stored)) + stored
    return struct.pack("<ii", 0, value) if isinstance(value, int) else struct.pack("<id", 1, value)

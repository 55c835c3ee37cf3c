"""Headers of MetaImage and NRRD files, and the files beside them that hold the voxels."""

from __future__ import annotations

import io
import math
import os
import zlib
from pathlib import Path

from bundle.errors import InputError

__all__ = ["check_compressed", "data_files"]

_HEADER_BYTES = 65536
_BLOCK_BYTES = 1 << 22
_PIXELS = "ElementDataFile"  # MetaImage's field for the file with the voxels, the last of a header
_ONCE = ("elementdatafile", "compresseddata", "compresseddatasize", "dimsize", "elementtype", "headersize")
_ELEMENT_BYTES = {
    "MET_CHAR": 1,
    "MET_UCHAR": 1,
    "MET_SHORT": 2,
    "MET_USHORT": 2,
    "MET_INT": 4,
    "MET_UINT": 4,
    "MET_LONG": 4,
    "MET_ULONG": 4,
    "MET_LONG_LONG": 8,
    "MET_ULONG_LONG": 8,
    "MET_FLOAT": 4,
    "MET_DOUBLE": 8,
}


def data_files(path: Path) -> list[Path]:
    """Files beside a header that hold its voxels, after checking that they are there and complete.

    Args:
        path: any file; formats other than MetaImage and NRRD have no such files.

    Raises:
        InputError: when the header names none, several or one outside its folder, or the file is missing or shorter
            than the header says.
    """
    suffix = path.suffix.lower()
    if suffix in (".mhd", ".mha"):
        return _meta_image_data(path)
    if suffix in (".nrrd", ".nhdr"):
        name = _nrrd_data_file(path)
        if name is not None or suffix == ".nhdr":  # either suffix may name a file, whatever it promises
            return [_beside(path, name or "")]
    return []


def check_compressed(path: Path) -> None:
    """Decompresses a compressed MetaImage without keeping it, because ITK gives arbitrary voxels for a damaged one.

    Args:
        path: any file; what is not a compressed MetaImage passes.

    Raises:
        InputError: when its data are damaged or fewer than the header says, or as :func:`data_files`.
    """
    if path.suffix.lower() not in (".mhd", ".mha"):
        return
    entries, _ = _meta_image_header(path)
    if not _is_compressed(entries):
        return
    data, offset = _meta_image_voxels(path)
    stream = zlib.decompressobj(zlib.MAX_WBITS | 32)  # of zlib or gzip, as ITK reads
    held = 0
    try:
        with open(data, "rb") as file:
            file.seek(offset)
            while not stream.eof and (block := file.read(_BLOCK_BYTES)):
                while block:
                    held += len(stream.decompress(block, _BLOCK_BYTES))
                    block = stream.unconsumed_tail
    except zlib.error as error:
        raise InputError(data, f"is damaged ({error}).", "Copy or download it again.") from error
    expected = _voxel_bytes(path, entries)
    if held < expected:
        raise _truncated(path, data, held, expected)


def _head(path: Path) -> bytes:
    """The beginning of a file, which holds its header."""
    try:
        with open(path, "rb") as file:
            return file.read(_HEADER_BYTES)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror}).", "Copy or download it again.") from error


def _ambiguous(path: Path, line: bytes) -> InputError:
    """ITK could see another file named than is seen here."""
    return InputError(path, f"is ambiguous where it says {line[:60]!r}.", "Write each field once, as ITK does.")


def _meta_image_header(path: Path) -> tuple[dict[str, str], int]:
    """Entries by their names in small letters, and the offset of what follows ElementDataFile.

    Lines end where ITK sees them end, as it opens the file they name.
    """
    entries: dict[str, str] = {}
    offset = 0
    for line in io.BytesIO(_head(path)):
        offset += len(line)
        key, found, value = line.decode("latin-1").partition("=")
        name = key.replace(" ", "").strip().lower()
        is_last = name == _PIXELS.lower()
        if ":" in key or (is_last and key.strip() != _PIXELS) or (name in entries and name in _ONCE):
            raise _ambiguous(path, line)
        if found:
            entries[name] = value.strip()
        if is_last:
            break
    return entries, offset


def _nrrd_data_file(path: Path) -> str | None:
    """What a header says of the file with the voxels; None if nothing. It ends at the first empty line."""
    head = _head(path)
    named: str | None = None
    for line in io.BytesIO(head):
        if line in (b"\n", b"\r\n"):
            return named
        key, found, value = line.decode("latin-1").partition(":")
        is_field = found and not key.startswith("#") and not value.startswith("=")  # no comment and no note
        if is_field and key.replace(" ", "").strip().lower() == "datafile":
            if named is not None:
                raise _ambiguous(path, line)
            named = value.strip()
    if len(head) == _HEADER_BYTES:
        raise InputError(path, f"has a header of more than {_HEADER_BYTES} bytes.", "Shorten it.")
    return named


def _beside(path: Path, name: str) -> Path:
    """The one data file that a header names."""
    if not name:
        raise InputError(path, "names no file with its voxels.", "Copy or download it again.")
    if name.upper().startswith("LIST") or "%" in name:
        raise InputError(path, "keeps its voxels in several files.", "Convert it to one file, such as .mha.")
    named = Path(name)
    if named.is_absolute() or ".." in named.parts or "\\" in name:
        raise InputError(
            path, f"names the data file {name}, which lies outside its folder.", "Put the data beside its header."
        )
    data = path.parent / named
    if not os.path.isfile(data):
        raise InputError(path, f"names the data file {name}, which does not exist.", "Copy or download it again.")
    return data


def _meta_image_data(path: Path) -> list[Path]:
    entries, _ = _meta_image_header(path)
    data, offset = _meta_image_voxels(path)
    if _is_compressed(entries):
        # Without a stated size only decompression can tell.
        expected = int(_numbers(path, entries, "compresseddatasize", "1")[0])
    else:
        expected = _voxel_bytes(path, entries)
    held = data.stat().st_size - offset
    if held < expected:
        raise _truncated(path, data, max(held, 0), expected)
    return [] if data == path else [data]


def _meta_image_voxels(path: Path) -> tuple[Path, int]:
    """The file that holds the voxels, and where in it they start."""
    entries, offset = _meta_image_header(path)
    name = entries.get("elementdatafile", "")
    if name.upper() == "LOCAL":
        return path, offset
    return _beside(path, name), max(int(_numbers(path, entries, "headersize", "0")[0]), 0)


def _is_compressed(entries: dict[str, str]) -> bool:
    return entries.get("compresseddata", "").lower() == "true"


def _voxel_bytes(path: Path, entries: dict[str, str]) -> int:
    element = entries.get("elementtype", "").upper()
    if element not in _ELEMENT_BYTES:
        raise InputError(path, f"has the element type {element or 'missing'}.", "Save it as MET_SHORT or MET_FLOAT.")
    channels = int(_numbers(path, entries, "elementnumberofchannels", "1")[0])
    return math.prod(int(n) for n in _numbers(path, entries, "dimsize", "")) * channels * _ELEMENT_BYTES[element]


def _truncated(path: Path, data: Path, held: int, expected: int) -> InputError:
    return InputError(
        data,
        f"holds {held} bytes of voxels where {path.name} announces {expected}.",
        "It is truncated: copy or download it again.",
    )


def _numbers(path: Path, entries: dict[str, str], key: str, default: str) -> list[float]:
    text = entries.get(key, default)
    try:
        numbers = [float(word) for word in text.split()]
    except ValueError:
        numbers = []
    if not numbers or not all(math.isfinite(number) for number in numbers):
        raise InputError(path, f"has the {key} {text or 'missing'}.", "Correct it in its header.")
    return numbers

"""Headers of MetaImage files, read as ITK reads them and refused where they contradict themselves."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bundle.data.compressed_voxels import COPY_AGAIN, check_deflated
from bundle.data.detached_data import HEADER_BYTES, ambiguous, beside, check_voxel_bytes, first_bytes
from bundle.errors import InputError

__all__ = ["MetaImageHeader", "check_meta_image_space", "check_meta_image_voxels", "read_meta_image_header"]

_CORRECT = "Correct it in its header."
_PIXELS = "ElementDataFile"  # the last field of a header
_ONCE = ("elementdatafile", "compresseddata", "compresseddatasize", "dimsize", "elementtype", "headersize", "ndims")
_MOST_AXES = 4
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


@dataclass(frozen=True)
class MetaImageHeader:
    """What a header says.

    Args:
        path: its file.
        entries: values by the fields' names in small letters.
        end: offset of what follows it.
    """

    path: Path
    entries: dict[str, str]
    end: int

    @property
    def is_compressed(self) -> bool:
        """Whether the voxels are compressed."""
        return self.entries.get("compresseddata", "").lower() == "true"

    @property
    def sizes(self) -> list[int]:
        """Voxels along each axis, the fastest first.

        Raises:
            InputError: when they are missing or impossible, or are not as many as the axes.
        """
        sizes = [int(n) for n in self.numbers("dimsize")]
        axes = int(self.numbers("ndims", str(len(sizes)))[0])
        if axes != len(sizes) or not 1 <= axes <= _MOST_AXES or min(sizes) < 1:
            raise InputError(self.path, f"has NDims {axes} and DimSize {self.entries['dimsize']}.", _CORRECT)
        return sizes

    @property
    def voxel_bytes(self) -> int:
        """Bytes of all voxels.

        Raises:
            InputError: when their type or number is unknown.
        """
        element = self.entries.get("elementtype", "").upper()
        if element not in _ELEMENT_BYTES:
            raise InputError(
                self.path, f"has the element type {element or 'missing'}.", "Save it as MET_SHORT or MET_FLOAT."
            )
        channels = int(self.numbers("elementnumberofchannels", "1")[0])
        return math.prod(self.sizes) * channels * _ELEMENT_BYTES[element]

    def voxels(self) -> tuple[Path, int]:
        """The file that holds the voxels, and where in it they start.

        Raises:
            InputError: when it names none, several or one outside its folder, or the file is missing.
        """
        name = self.entries.get("elementdatafile", "")
        if name.upper() == "LOCAL":
            return self.path, self.end
        data, skipped = beside(self.path, name), int(self.numbers("headersize", "0")[0])
        if skipped < 0 and not self.is_compressed:  # they stand at the end
            return data, max(data.stat().st_size - self.voxel_bytes, 0)
        return data, max(skipped, 0)

    def numbers(self, key: str, default: str = "") -> list[float]:
        """The finite numbers of a field.

        Raises:
            InputError: when it has none, or something else.
        """
        text = self.entries.get(key, default)
        try:
            numbers = [float(word) for word in text.split()]
        except ValueError:
            numbers = []
        if not numbers or not all(math.isfinite(number) for number in numbers):
            raise InputError(self.path, f"has the {key} {text[:60] or 'missing'}.", _CORRECT)
        return numbers


def read_meta_image_header(path: Path) -> MetaImageHeader:
    """Reads the header; lines end where ITK sees them end, as it opens the file that they name.

    Raises:
        InputError: when it has no end, or can be read in two ways.
    """
    entries: dict[str, str] = {}
    offset = 0
    for line in io.BytesIO(first_bytes(path)):
        offset += len(line)
        key, found, value = line.decode("latin-1").partition("=")
        name = key.replace(" ", "").strip().lower()
        is_last = name == _PIXELS.lower()
        if ":" in key or (is_last and key.strip() != _PIXELS) or (name in entries and name in _ONCE):
            raise ambiguous(path, line)
        if found:
            entries[name] = value.strip()
        if is_last:
            return MetaImageHeader(path, entries, offset)
    if offset >= HEADER_BYTES:
        raise InputError(path, f"has a header of more than {HEADER_BYTES} bytes, or none.", COPY_AGAIN)
    raise InputError(path, f"has no {_PIXELS}.", "It is truncated: copy or download it again.")


def check_meta_image_voxels(header: MetaImageHeader, thoroughly: bool = False) -> Path:
    """Compares the voxels' number with the header's, before ITK makes arbitrary ones of what is missing.

    Args:
        header: the header.
        thoroughly: decompress compressed ones to their end, and compare their checksum.

    Returns:
        The file that holds them.

    Raises:
        InputError: when they are more or fewer, or damaged.
    """
    data, offset = header.voxels()
    expected = header.voxel_bytes
    if not header.is_compressed:
        check_voxel_bytes(data, data.stat().st_size - offset, expected, header.path)
    elif thoroughly:
        check_deflated(data, offset, expected, header.path)
    else:
        held, stored = data.stat().st_size - offset, int(header.numbers("compresseddatasize", "1")[0])
        check_voxel_bytes(data, min(held, stored), stored, header.path)
    return data


def check_meta_image_space(header: MetaImageHeader) -> None:
    """Refuses a header that does not place three axes of voxels in the patient.

    Raises:
        InputError: naming the field.
    """
    sizes = header.sizes
    if len(sizes) != 3 or int(header.numbers("elementnumberofchannels", "1")[0]) != 1:
        raise InputError(header.path, f"has DimSize {sizes} or several channels.", "Give one volume with three axes.")
    spacing = next((header.numbers(key) for key in ("elementspacing", "elementsize") if key in header.entries), None)
    if spacing is None:
        raise InputError(header.path, "states no voxel spacing.", "Add ElementSpacing to its header.")
    if len(spacing) != 3 or min(spacing) <= 0:
        raise InputError(header.path, f"has the spacing {spacing} mm.", _CORRECT)
    for keys, count in ((("offset", "origin", "position"), 3), (("transformmatrix", "orientation", "rotation"), 9)):
        for key in keys:
            if key in header.entries and len(header.numbers(key)) != count:
                raise InputError(header.path, f"has the {key} {header.entries[key]}.", f"Give {count} numbers.")
            if key in header.entries and count == 9:
                matrix = np.reshape(header.numbers(key), (3, 3))
                if not np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-2):
                    raise InputError(header.path, f"has axes ({key}) that are not at right angles.", _CORRECT)

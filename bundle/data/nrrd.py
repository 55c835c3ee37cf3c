"""Headers of NRRD files, refused where they contradict themselves or do not place the voxels in the patient."""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bundle.data.compressed_voxels import check_deflated
from bundle.data.detached_data import HEADER_BYTES, ambiguous, beside, check_voxel_bytes, first_bytes
from bundle.errors import InputError

__all__ = ["NrrdHeader", "check_nrrd_space", "check_nrrd_voxels", "read_nrrd_header"]

_CORRECT = "Correct it in its header, or save it again."
_SPACES = ("left-posterior-superior", "lps", "right-anterior-superior", "ras", "left-anterior-superior", "las")
_BYTES = {  # types by all their names
    **dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"), 1),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), 2),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), 2),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t"), 4),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"), 8),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"), 8),
    **{"float": 4, "double": 8},
}
_MOST_DIGITS = 10
_RAW, _GZIP = ("raw",), ("gzip", "gz")


@dataclass(frozen=True)
class NrrdHeader:
    """What a header says.

    Args:
        path: its file.
        fields: values by the fields' names in small letters without blanks.
        end: offset of what follows it.
    """

    path: Path
    fields: dict[str, str]
    end: int

    @property
    def sizes(self) -> list[int]:
        """Voxels along each axis, the fastest first.

        Raises:
            InputError: when they are missing or impossible, or are not as many as the axes.
        """
        text, dimension = self.fields.get("sizes", ""), self.fields.get("dimension", "")
        sizes = [int(word) for word in text.split() if word.isdecimal() and len(word) < _MOST_DIGITS]
        if dimension != str(len(sizes)) or len(sizes) != len(text.split()) or not sizes or min(sizes) < 1:
            raise InputError(self.path, f"has the dimension {dimension[:20]} and the sizes {text[:60]}.", _CORRECT)
        return sizes

    def voxels(self) -> tuple[Path, int]:
        """The file that holds the voxels, and where in it they start.

        Raises:
            InputError: when it names none, several or one outside its folder, or the file is missing.
        """
        name = self.fields.get("datafile")
        if name is None and self.path.suffix.lower() != ".nhdr":  # either suffix may name a file, whatever it promises
            return self.path, self.end
        return beside(self.path, name or ""), 0

    def refused(self, field: str, remedy: str = _CORRECT) -> InputError:
        """An error that names a field and what it says."""
        return InputError(self.path, f"has the {field} {self.fields.get(field.replace(' ', ''), 'missing')!r}.", remedy)


def read_nrrd_header(path: Path) -> NrrdHeader:
    """Reads the header, which ends at the first empty line.

    Raises:
        InputError: when it has no end, is none, or can be read in two ways.
    """
    fields: dict[str, str] = {}
    offset = 0
    head = first_bytes(path)
    for line in io.BytesIO(head):
        offset += len(line)
        if line in (b"\n", b"\r\n"):
            break
        key, found, value = line.decode("latin-1").partition(":")
        if not found or key.startswith("#") or value.startswith("="):  # magic, comment or note
            continue
        name = key.replace(" ", "").strip().lower()
        if name in fields:
            raise ambiguous(path, line)
        fields[name] = value.strip()
    if offset >= HEADER_BYTES:
        raise InputError(path, f"has a header of more than {HEADER_BYTES} bytes.", "Shorten it.")
    if not head.startswith(b"NRRD000"):
        raise InputError(path, "cannot be read (it is no NRRD file).", "Check that it is a complete CT file.")
    return NrrdHeader(path, fields, offset)


def check_nrrd_voxels(header: NrrdHeader) -> None:
    """Compares the voxels' number and checksum with the header's.

    Raises:
        InputError: when they are more or fewer, or damaged, or cannot be read.
    """
    data, offset = header.voxels()
    kind, encoding = header.fields.get("type", "").lower(), header.fields.get("encoding", "").lower()
    if kind not in _BYTES:
        raise header.refused("type", "Save it as short or float.")
    if encoding not in (*_RAW, *_GZIP):
        raise header.refused("encoding", "Save it as raw or gzip.")
    for field in ("lineskip", "byteskip"):
        if header.fields.get(field, "0") != "0":
            raise header.refused(field[:4] + " skip", "Save it without.")
    expected = math.prod(header.sizes) * _BYTES[kind]
    if encoding in _GZIP:
        check_deflated(data, offset, expected, header.path)
    else:
        check_voxel_bytes(data, data.stat().st_size - offset, expected, header.path)


def check_nrrd_space(header: NrrdHeader) -> None:
    """Refuses a header that does not place three axes of voxels in the patient, in millimetres.

    Raises:
        InputError: naming the field.
    """
    if len(header.sizes) != 3:
        raise header.refused("sizes", "Give one volume with three axes.")
    if "spacedirections" not in header.fields:
        raise InputError(header.path, "states no voxel spacing and axes.", "Add space directions to its header.")
    axes = _vectors(header.fields["spacedirections"])
    lengths = np.linalg.norm(axes, axis=-1) if axes.shape == (3, 3) else np.zeros(3)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise header.refused("space directions")
    turned = axes / lengths[:, None]
    if not np.allclose(turned @ turned.T, np.eye(3), atol=1e-2):
        raise InputError(header.path, "has space directions that are not at right angles.", _CORRECT)
    if header.fields.get("space", "").lower() not in _SPACES:
        raise header.refused("space", f"Give {_SPACES[0]} or {_SPACES[2]}.")
    origin = _vectors(header.fields.get("spaceorigin", ""))
    if origin.shape != (1, 3) or not np.isfinite(origin).all():
        raise header.refused("space origin")
    units = re.findall(r'"([^"]*)"', header.fields.get("spaceunits", ""))
    if any(unit not in ("mm", "") for unit in units):
        raise header.refused("space units", "Save it in mm.")


def _vectors(text: str) -> np.ndarray:
    """[n, 3] vectors of a text such as "(1,0,0) (0,1,0)"; another shape where it has something else."""
    found = re.findall(r"\(([^()]*)\)", text)
    try:
        vectors = [[float(number) for number in one.split(",")] for one in found]
        if re.sub(r"\([^()]*\)", "", text).strip() or any(len(vector) != 3 for vector in vectors):
            raise ValueError
    except ValueError:
        return np.empty(0)
    return np.array(vectors)

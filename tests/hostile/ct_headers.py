"""CT files whose headers contradict themselves, or say what no CT is."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np

from tests.hostile.case import EITHER, REFUSED, Case

__all__ = ["metaimage_cases", "nifti_cases", "nrrd_cases"]

NIFTI = [  # name, offset, format, value, right
    ("header size", 0, "<i", 347, REFUSED),
    ("no dimensions", 40, "<h", 0, REFUSED),
    ("nine dimensions", 40, "<h", 9, REFUSED),
    ("two dimensions", 40, "<h", 2, REFUSED),
    ("negative size", 42, "<h", -24, REFUSED),
    ("no columns", 42, "<h", 0, REFUSED),
    ("sizes beyond the data", 42, "<h", 30000, REFUSED),
    ("sizes below the data", 42, "<h", 12, REFUSED),
    ("unknown type", 70, "<h", 999, REFUSED),
    ("complex values", 70, "<h", 32, REFUSED),
    ("RGB values", 70, "<h", 128, REFUSED),
    ("wider type", 70, "<h", 64, REFUSED),
    ("data before the header's end", 108, "<f", 10.0, REFUSED),
    ("data beyond the end", 108, "<f", 1e9, REFUSED),
    ("data nowhere", 108, "<f", float("nan"), REFUSED),
    ("infinite slope", 112, "<f", float("inf"), REFUSED),
    ("huge slope", 112, "<f", 1e20, REFUSED),
    ("huge intercept", 116, "<f", 1e20, REFUSED),
    ("intercept of no number", 116, "<f", float("nan"), REFUSED),
    ("units metre", 123, "<b", 1, REFUSED),
    ("units micron", 123, "<b", 3, REFUSED),
    ("sform of no number", 280, "<f", float("nan"), REFUSED),
    ("sform infinite", 292, "<f", float("inf"), REFUSED),
    ("sform far away", 292, "<f", 1e8, REFUSED),
    ("sform sheared", 284, "<f", 9.0, REFUSED),
    ("sform without width", 280, "<f", 0.0, REFUSED),
    ("sform of nanometres", 280, "<f", 1e-6, REFUSED),
    ("sform of metres", 280, "<f", 5000.0, REFUSED),
    ("magic", 344, "<i", 0x0031696E, EITHER),
    ("no magic", 344, "<i", 0x41414141, REFUSED),
]
METAIMAGE = {
    "a billion dimensions": ("NDims = 3", "NDims = 1000000000", REFUSED),
    "no dimensions": ("NDims = 3", "NDims = 0", REFUSED),
    "two dimensions": ("NDims = 3", "NDims = 2", REFUSED),
    "dimensions as text": ("NDims = 3", "NDims = three", REFUSED),
    "sizes below the data": (r"DimSize = \d+", "DimSize = 10", REFUSED),
    "sizes beyond the data": (r"DimSize = \d+", "DimSize = 20000", REFUSED),
    "negative size": (r"DimSize = \d+", "DimSize = -20", REFUSED),
    "too few sizes": (r"DimSize = \d+ ", "DimSize = ", REFUSED),
    "no sizes": (r"DimSize = .*\n", "", REFUSED),
    "no width": (r"ElementSpacing = \S+", "ElementSpacing = 0", REFUSED),
    "negative width": (r"ElementSpacing = \S+", "ElementSpacing = -12", REFUSED),
    "width of no number": (r"ElementSpacing = \S+", "ElementSpacing = nan", REFUSED),
    "width of a kilometre": (r"ElementSpacing = \S+", "ElementSpacing = 1000000", REFUSED),
    "width of a nanometre": (r"ElementSpacing = \S+", "ElementSpacing = 0.000001", REFUSED),
    "offset of no number": (r"Offset = \S+", "Offset = nan", REFUSED),
    "offset far away": (r"Offset = \S+", "Offset = 1e9", REFUSED),
    "infinite offset": (r"Offset = \S+", "Offset = inf", REFUSED),
    "matrix of zeros": (r"TransformMatrix = .*", "TransformMatrix = 0 0 0 0 0 0 0 0 0", REFUSED),
    "matrix of no number": (r"TransformMatrix = \S+", "TransformMatrix = nan", REFUSED),
    "matrix sheared": (r"TransformMatrix = .*", "TransformMatrix = 1 0.7 0 0 1 0 0 0 1", REFUSED),
    "matrix too short": (r"TransformMatrix = .*", "TransformMatrix = 1 0 0", REFUSED),
    "unknown type": ("MET_SHORT", "MET_COMPLEX", REFUSED),
    "wider type": ("MET_SHORT", "MET_FLOAT", REFUSED),
    "narrower type": ("MET_SHORT", "MET_UCHAR", REFUSED),
    "other byte order": ("BinaryDataByteOrderMSB = False", "BinaryDataByteOrderMSB = True", REFUSED),
    "said to be compressed or not": ("CompressedData = (True|False)", "", REFUSED),
    "three channels": ("ObjectType = Image", "ObjectType = Image\nElementNumberOfChannels = 3", REFUSED),
    "data elsewhere": (r"ElementDataFile = \S+", "ElementDataFile = ../../../etc/passwd", REFUSED),
    "data absent": (r"ElementDataFile = \S+", "ElementDataFile = absent.raw", REFUSED),
    "a list of data": (r"ElementDataFile = \S+", "ElementDataFile = LIST", REFUSED),
    "no data": (r"ElementDataFile = .*\n", "", REFUSED),
    "a line of a million characters": ("ObjectType = Image", "Comment = " + "x" * 1_000_000, EITHER),
}
NRRD = {
    "a billion dimensions": ("dimension: 3", "dimension: 1000000000", REFUSED),
    "two dimensions": ("dimension: 3", "dimension: 2", REFUSED),
    "no dimension": ("dimension: 3\n", "", REFUSED),
    "sizes below the data": (r"sizes: \d+", "sizes: 10", REFUSED),
    "sizes beyond the data": (r"sizes: \d+", "sizes: 20000", REFUSED),
    "negative size": (r"sizes: \d+", "sizes: -20", REFUSED),
    "no sizes": (r"sizes: .*\n", "", REFUSED),
    "no directions": (r"space directions: .*", "space directions: none none none", REFUSED),
    "no directions at all": (r"space directions: .*\n", "", REFUSED),
    "directions of no number": (r"space directions: \(\S+?,", "space directions: (nan,", REFUSED),
    "directions of zeros": (r"space directions: .*", "space directions: (0,0,0) (0,0,0) (0,0,0)", REFUSED),
    "directions sheared": (r"space directions: .*", "space directions: (12,0,0) (9,13,0) (0,0,14)", REFUSED),
    "directions of kilometres": (r"space directions: .*", "space directions: (1e6,0,0) (0,1e6,0) (0,0,1e6)", REFUSED),
    "origin of no number": (r"space origin: .*", "space origin: (nan,0,0)", REFUSED),
    "origin far away": (r"space origin: .*", "space origin: (1e9,0,0)", REFUSED),
    "space of unknown name": ("left-posterior-superior", "left-left-left", REFUSED),
    "no space": (r"space: .*\n", "", REFUSED),
    "centimetres": ("encoding:", 'space units: "cm" "cm" "cm"\nencoding:', REFUSED),
    "micrometres": ("encoding:", 'space units: "um" "um" "um"\nencoding:', REFUSED),
    "other byte order": ("endian: little", "endian: big", REFUSED),
    "unknown type": ("type: int16", "type: quaternion", REFUSED),
    "wider type": ("type: int16", "type: float", REFUSED),
    "narrower type": ("type: int16", "type: uint8", REFUSED),
    "unknown encoding": (r"encoding: \w+", "encoding: quantum", REFUSED),
    "other encoding": (r"encoding: \w+", "encoding: bzip2", REFUSED),
    "skipped bytes beyond the end": ("endian:", "byte skip: 100000000\nendian:", REFUSED),
    "data elsewhere": ("endian:", "data file: ../../../etc/passwd\nendian:", REFUSED),
    "data in a list": ("endian:", "data file: LIST\nendian:", REFUSED),
    "a line of a million characters": ("endian:", "# " + "x" * 1_000_000 + "\nendian:", EITHER),
}


def nifti_cases() -> Iterator[Case]:
    """Fields of a NIfTI header, and files that the header does not describe."""
    for name, offset, form, value, right in NIFTI:

        def edit(folder: Path, offset=offset, form=form, value=value) -> None:
            content = bytearray((folder / "ct.nii").read_bytes())
            struct.pack_into(form, content, offset, value)
            (folder / "ct.nii").write_bytes(content)

        yield Case("ct.nii", f"NIfTI: {name}", edit, right)
    for name, make in {"qform elsewhere": _qform_elsewhere, "voxels byte-swapped": _swapped, "voxels of noise": _noise,
                       "five dimensions": _five_dimensions, "voxels of one value": _constant}.items():  # fmt: skip
        yield Case("ct.nii", f"NIfTI: {name}", make)


def metaimage_cases() -> Iterator[Case]:
    """Lines of MetaImage headers."""
    for reader in ("ct.mha", "ctz.mha", "ct.mhd"):
        for name, (pattern, replacement, right) in METAIMAGE.items():
            if not (reader == "ctz.mha" and name == "other byte order"):  # tells nothing that the CRC would not
                edit = _header_edit(reader, b"ElementDataFile = LOCAL\n", pattern, replacement)
                yield Case(reader, f"{reader}: {name}", edit, right)


def nrrd_cases() -> Iterator[Case]:
    """Lines of NRRD headers."""
    for reader in ("ct.nrrd", "ctz.nrrd"):
        for name, (pattern, replacement, right) in NRRD.items():
            yield Case(reader, f"{reader}: {name}", _header_edit(reader, b"\n\n", pattern, replacement), right)


def _header_edit(file: str, end: bytes, pattern: str, replacement: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        header, mark, data = (folder / file).read_bytes().partition(end)
        text = (header + mark).decode("ascii")
        if pattern.startswith("CompressedData"):
            other = {"True": "False", "False": "True"}
            changed = re.sub(pattern, lambda found: f"CompressedData = {other[found[1]]}", text, count=1)
        else:
            changed = re.sub(pattern, replacement.replace("\\", r"\\"), text, count=1)
        assert changed != text, f"{file} has nothing like {pattern}"
        (folder / file).write_bytes(changed.encode() + data)

    return edit


def _nifti_edit(folder: Path, change: Callable[[nib.Nifti1Image], nib.Nifti1Image]) -> None:
    image = nib.load(folder / "ct.nii")
    made = change(nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header))
    nib.save(made, folder / "ct.nii")


def _qform_elsewhere(folder: Path) -> None:
    def change(image: nib.Nifti1Image) -> nib.Nifti1Image:
        affine = image.affine.copy()
        affine[:3, 3] += (40, -90, 15)
        image.set_qform(affine, code=1)
        image.set_sform(image.affine, code=1)
        return image

    _nifti_edit(folder, change)


def _swapped(folder: Path) -> None:
    _nifti_edit(folder, lambda i: nib.Nifti1Image(np.asarray(i.dataobj).byteswap(), i.affine, i.header))


def _noise(folder: Path) -> None:
    rng = np.random.default_rng(3)
    shape = (20, 18, 24)
    _nifti_edit(
        folder, lambda i: nib.Nifti1Image(rng.integers(-32768, 32767, shape).astype(np.int16), i.affine, i.header)
    )


def _constant(folder: Path) -> None:
    _nifti_edit(folder, lambda i: nib.Nifti1Image(np.full(i.shape, 40, np.int16), i.affine, i.header))


def _five_dimensions(folder: Path) -> None:
    _nifti_edit(folder, lambda i: nib.Nifti1Image(np.stack([np.asarray(i.dataobj)] * 2, -1)[..., None, :], i.affine))

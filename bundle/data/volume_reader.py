"""Reading images [i, j, k] from NIfTI, MetaImage, NRRD and folders of DICOM slices: the one way for CTs and labels."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from bundle.data.checks import check_spatial
from bundle.data.compressed_voxels import COPY_AGAIN
from bundle.data.ct_formats import CT_SUFFIXES, LPS_TO_RAS, NIFTI_SUFFIXES
from bundle.data.dicom_series import read_dicom_series
from bundle.data.meta_image import check_meta_image_space, check_meta_image_voxels, read_meta_image_header
from bundle.data.nifti_header import check_nifti_header
from bundle.data.nrrd import check_nrrd_space, check_nrrd_voxels, read_nrrd_header
from bundle.data.slice_stack import SliceStack
from bundle.errors import InputError
from bundle.optional import require
from bundle.plausible import check_positions

__all__ = ["read_image"]

_EXTENT_MM = (5.0, 5000.0)  # metres make a patient less than a millimetre long, micrometres a kilometre
_VOXEL_MM = (0.005, 200.0)
_NOT_WRAPPED = ("char", "long_long", "unsigned_long_long")  # which ITK in Python lacks; floats hold all that occur
_NIFTI_HEADERS = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
_BLOCK_BYTES = 1 << 20
_MOST_AFTER_VOXELS = 1 << 26  # of compressed files: more is no rest of an image


def read_image(path: Path, unit_mm: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Reads an image, in little memory.

    Args:
        path: .nii, .nii.gz, .mha, .mhd, .nrrd or .nhdr file, or a folder with one DICOM series.
        unit_mm: unit of length of its header.

    Returns:
        [i, j, k] values in the file's own axis order, int16 where that holds them all and float32 otherwise, and the
        [4, 4] map from voxel index to RAS millimetres.

    Raises:
        InputError: when it is missing, damaged, not 3D, too large for the memory, or its header contradicts itself or
            does not place it; for a folder also what :func:`bundle.data.dicom_series.read_dicom_series` refuses.
    """
    name = path.name.lower()
    if not path.exists():
        raise InputError(path, "does not exist.", "Check the path.")
    if path.is_dir():
        if not any(path.iterdir()):
            raise InputError(path, "is an empty folder.", "Give a folder with one DICOM series.")
        values, affine = read_dicom_series(path)
    elif not path.is_file():
        raise InputError(path, "is no file.", "Give a file, or a folder of DICOM slices.")
    elif path.stat().st_size == 0:
        raise InputError(path, "is empty.", COPY_AGAIN)
    elif name.endswith(NIFTI_SUFFIXES):
        values, affine = _read_nifti(path)
    elif name.endswith(CT_SUFFIXES):
        values, affine = _read_with_itk(path)
    else:
        known = f"Give one of {', '.join(CT_SUFFIXES)}, or a folder of DICOM slices."
        raise InputError(path, "has an unknown suffix.", known)
    affine[:3] *= unit_mm
    _check_axes(values.shape, affine, path)
    return values, affine


def _read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Slice after slice from a stream that is read to its end, where gzip has its checksum."""
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    with _naming_damage(path), opened(path, "rb") as file:
        size = int.from_bytes(file.read(4), "little")
        swapped = int.from_bytes(size.to_bytes(4, "little"), "big")
        kind = _NIFTI_HEADERS.get(size) or _NIFTI_HEADERS.get(swapped)
        if kind is None:
            raise InputError(path, "cannot be read (it is no NIFTI file).", "Check that it is a complete CT file.")
        file.seek(0)
        header = kind.from_fileobj(file, check=False)
        shape = check_nifti_header(header, path)
        check_spatial(shape, path)
        affine = header.get_best_affine()
        start, plane_bytes = _voxels_of_nifti(header, shape, path, file)
        stack = SliceStack(shape, path)
        slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
        scaled = np.isfinite(slope) and slope != 0 and (slope, intercept) != (1.0, 0.0)
        file.read(start - file.tell())
        for k in range(shape[2]):
            content = file.read(plane_bytes)
            if len(content) != plane_bytes:
                raise InputError(path, "is truncated: it ends within its voxels.", COPY_AGAIN)
            plane = np.frombuffer(content, header.get_data_dtype()).reshape(shape[:2], order="F")
            stack.put(k, plane * slope + intercept if scaled else plane.astype(plane.dtype.newbyteorder("=")))
        _read_to_end(file, path)
    return stack.values, np.array(affine, dtype=float)


def _voxels_of_nifti(header: nib.Nifti1Header, shape: tuple[int, ...], path: Path, file: Any) -> tuple[int, int]:
    """Where the voxels start, and the bytes of each slice."""
    offset, least, magic = float(header["vox_offset"]), header.sizeof_hdr + 4, bytes(header["magic"].item())
    if not magic.startswith((b"n+1", b"n+2")):
        raise InputError(path, f"has the magic {magic!r}.", "Save it as one .nii or .nii.gz file.")
    start = least if offset == 0 else int(offset) if least <= offset < _MOST_AFTER_VOXELS else -1
    if start < 0:
        raise InputError(path, f"has the vox_offset {offset:g}.", "Save it as one .nii or .nii.gz file.")
    plane_bytes = shape[0] * shape[1] * header.get_data_dtype().itemsize
    if not path.name.lower().endswith(".gz"):
        held, expected = path.stat().st_size - start, shape[2] * plane_bytes
        if held != expected:
            raise InputError(path, f"holds {held} bytes of voxels where its header announces {expected}.", COPY_AGAIN)
    return start, plane_bytes


def _read_to_end(file: Any, path: Path) -> None:
    after = 0
    while block := file.read(_BLOCK_BYTES):
        after += len(block)
        if after > _MOST_AFTER_VOXELS:
            break
    if after:
        raise InputError(path, "holds more voxels than its header announces.", COPY_AGAIN)


@contextmanager
def _naming_damage(path: Path) -> Iterator[None]:
    """Tells what a library says of a damaged file in one line."""
    try:
        yield
    except InputError:
        raise
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InputError(path, f"cannot be read: it is damaged ({error}).", COPY_AGAIN) from error
    except Exception as error:  # libraries raise many kinds
        reason = str(error).strip().splitlines()
        remedy = "Check that it is a complete CT file."
        raise InputError(path, f"cannot be read ({reason[0] if reason else type(error).__name__}).", remedy) from error


def _read_with_itk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    itk = require("itk", "itk-io", f"Reading {path.name}")
    is_meta = path.suffix.lower() in (".mha", ".mhd")
    if is_meta:
        meta = read_meta_image_header(path)
        check_meta_image_voxels(meta, thoroughly=True)
        check_meta_image_space(meta)
        sizes = meta.sizes
    else:
        nrrd = read_nrrd_header(path)
        check_nrrd_voxels(nrrd)
        check_nrrd_space(nrrd)
        sizes = nrrd.sizes
    stack = SliceStack(tuple(sizes), path)  # first: it refuses more than the memory holds
    with _naming_damage(path):
        # By name: looking through the formats that ITK knows would load all of its modules.
        header = (itk.MetaImageIO if is_meta else itk.NrrdImageIO).New()
        if not header.CanReadFile(str(path)):
            raise ValueError(f"it is no {path.suffix} file")
        header.SetFileName(str(path))
        header.ReadImageInformation()
        stored = header.GetComponentTypeAsString(header.GetComponentType())
        if stored in _NOT_WRAPPED:
            reader = itk.ImageFileReader[itk.Image[itk.F, 3]].New(FileName=str(path), ImageIO=header)
            reader.Update()
            image = reader.GetOutput()
        else:
            image = itk.imread(str(path), imageio=header)
        planes = itk.array_view_from_image(image)
    if planes.T.shape != stack.values.shape:
        raise InputError(path, f"is read as {planes.T.shape} voxels, and states {stack.values.shape}.", COPY_AGAIN)
    for k, plane in enumerate(planes):
        stack.put(k, plane.T)
    affine = np.eye(4)
    affine[:3, :3] = itk.array_from_matrix(image.GetDirection()) * np.array(image.GetSpacing())
    affine[:3, 3] = np.array(image.GetOrigin())
    return stack.values, LPS_TO_RAS @ affine


def _check_axes(shape: tuple[int, ...], affine: np.ndarray, path: Path) -> None:
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or (spacing <= 0).any() or abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-3:
        raise InputError(
            path, f"has the spacing {spacing.tolist()} mm and axes that span no volume.", "Correct its header."
        )
    extent = float((spacing * shape).max())
    if not _EXTENT_MM[0] < extent < _EXTENT_MM[1] or not _VOXEL_MM[0] < spacing.min() <= spacing.max() < _VOXEL_MM[1]:
        told = f"is {extent:.3g} mm long with voxels of {', '.join(f'{side:.3g}' for side in spacing)} mm"
        raise InputError(path, f"{told}, so its spacing is in another unit.", "State the spacing in millimetres.")
    check_positions(path, "its first voxel", affine[:3, 3])

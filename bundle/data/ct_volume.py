"""Reading CT volumes from NIfTI, MetaImage, NRRD and DICOM folders, and writing them as NIfTI."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.data import ImageReader, ITKReader, MetaTensor, NibabelReader
from monai.transforms import LoadImage
from monai.utils import SpaceKeys

from bundle.atomic import check_output
from bundle.data.checks import check_finite, check_hounsfield, check_spatial
from bundle.data.ct_formats import CT_SUFFIXES, ITK_SUFFIXES, NIFTI_SUFFIXES
from bundle.data.detached_data import check_compressed, data_files
from bundle.data.dicom_series import read_dicom_series
from bundle.data.nifti import load_nifti, write_nifti
from bundle.errors import InputError

__all__ = [
    "check_extent",
    "check_nifti_header",
    "check_text_header",
    "read_ct",
    "unreadable",
    "write_hu",
]

_EXTENT_MM = (5.0, 5000.0)  # metres make a patient less than a millimetre long, micrometres a kilometre
_SPACING_KEYS = {"meta": ("elementspacing", "elementsize"), "nrrd": ("space directions", "spacings")}


def read_ct(path: str | os.PathLike, check_hu: bool = True) -> MetaTensor:
    """Reads one CT volume.

    Args:
        path: .nii, .nii.gz, .mha, .mhd, .nrrd or .nhdr file, or a folder with one DICOM series.
        check_hu: refuse intensities that cannot be HU.

    Returns:
        [1, i, j, k] float32 HU in the file's own axis order, with its affine in RAS millimetres.

    Raises:
        InputError: when the file is missing, empty, unreadable, not 3D, without valid spacing, not finite or not HU;
            for a folder also what :func:`bundle.data.dicom_series.read_dicom_series` refuses, such as a missing slice.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(path, "does not exist.", "Check the path.")
    image: Any = _read_folder(path) if path.is_dir() else _read_file(path)
    check_spatial(tuple(image.shape), path)
    values = image.numpy()
    check_finite(values, path)
    if check_hu:
        check_hounsfield(values, path)
    spacing = np.linalg.norm(np.asarray(image.affine)[:3, :3], axis=0)
    if not np.isfinite(spacing).all() or (spacing <= 0).any():
        raise InputError(path, f"has the spacing {spacing.tolist()} mm.", "Correct the spacing in its header.")
    check_extent(image.shape, spacing, path)
    return image.unsqueeze(0)


def _read_folder(path: Path) -> MetaTensor:
    """One DICOM series [i, j, k]; ITK and MONAI would take slices as evenly spaced along their normal."""
    if not any(path.iterdir()):
        raise InputError(path, "is an empty folder.", "Give a folder with one DICOM series.")
    values, affine = read_dicom_series(path)
    meta = {
        "filename_or_obj": str(path),
        "original_affine": affine,
        "spatial_shape": np.array(values.shape),
        "space": SpaceKeys.RAS,
    }
    return MetaTensor(values.astype(np.float32), affine=torch.as_tensor(affine), meta=meta)


def _read_file(path: Path) -> MetaTensor:
    """One NIfTI, MetaImage or NRRD file [i, j, k]."""
    name = path.name.lower()
    reader: ImageReader
    if path.stat().st_size == 0:
        raise InputError(path, "is empty.", "Copy or download it again.")
    if name.endswith(NIFTI_SUFFIXES):
        check_nifti_header(path)
        reader = NibabelReader()
    elif name.endswith(ITK_SUFFIXES):
        check_text_header(path)
        data_files(path)
        check_compressed(path)
        reader = _itk_reader(path)
    else:
        raise InputError(
            path,
            "has an unknown suffix.",
            f"Give one of {', '.join(CT_SUFFIXES)}, or a folder of DICOM slices.",
        )
    try:
        return LoadImage(reader=reader, image_only=True, ensure_channel_first=False)(path)
    except Exception as error:  # readers raise many kinds for damaged files
        raise unreadable(path, error) from error


def check_extent(shape: Sequence[int], spacing_mm: np.ndarray, source: object) -> None:
    """Refuses volumes that are too short or too long for their spacing to be in millimetres.

    Raises:
        InputError: with the length.
    """
    extent = float((spacing_mm * shape).max())
    if not _EXTENT_MM[0] < extent < _EXTENT_MM[1]:
        raise InputError(
            source, f"is {extent:.3g} mm long, so its spacing is in another unit.", "State the spacing in millimetres."
        )


def write_hu(hu: np.ndarray, affine_ras: np.ndarray, path: str | os.PathLike) -> None:
    """Writes a volume as int16 NIfTI, complete or not at all.

    Args:
        hu: [x, y, z] Hounsfield units.
        affine_ras: [4, 4] map from voxel index to RAS millimetres.
        path: .nii or .nii.gz file.

    Raises:
        InputError: when the suffix is another, or the folder is full or not writable.
    """
    check_output(path, overwrite=True, suffixes=NIFTI_SUFFIXES)
    write_nifti(np.clip(np.rint(hu), -32768, 32767).astype(np.int16), affine_ras, path)


def unreadable(path: Path, error: Exception) -> InputError:
    """What a reader raised about a damaged file, in one line."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    reason = str(cause).strip().splitlines()
    return InputError(
        path,
        f"cannot be read ({reason[0] if reason else type(cause).__name__}).",
        "Check that it is a complete CT file.",
    )


def _itk_reader(path: Path) -> ITKReader:
    try:
        import itk  # noqa: F401
    except ImportError:
        raise InputError(path, "needs the package itk to be read.", "Install it with: pip install itk-io") from None
    return ITKReader()


def check_nifti_header(path: Path) -> None:
    """Refuses a NIfTI file without valid spacing, or without orientation and position.

    Raises:
        InputError: naming what is wrong with the header.
    """
    try:
        # As stored: nib.load replaces spacings that make no sense with ones that do.
        kind = type(load_nifti(path).header)
        if not issubclass(kind, nib.Nifti1Header):
            raise ValueError("it is no NIfTI file")
        with nib.openers.ImageOpener(str(path)) as file:
            header = kind.from_fileobj(file, check=False)
    except Exception as error:
        raise unreadable(path, error) from error
    spacing = np.asarray(header["pixdim"][1:4], dtype=float)
    if not np.isfinite(spacing).all() or (spacing <= 0).any():
        raise InputError(path, f"has the spacing {spacing.tolist()} mm.", "Correct pixdim in its header.")
    if int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        raise InputError(
            path, "states neither orientation nor position.", "Set its sform or qform, or convert it from DICOM again."
        )


def check_text_header(path: Path) -> None:
    """Refuses a MetaImage or NRRD file without valid spacing.

    Raises:
        InputError: naming what is wrong with the header.
    """
    kind = "nrrd" if path.suffix.lower() in (".nrrd", ".nhdr") else "meta"
    with open(path, "rb") as file:
        head = file.read(65536).split(b"\n\n")[0] if kind == "nrrd" else file.read(65536)
    entries: dict[str, str] = {}
    for line in head.decode("latin-1").splitlines():
        separator = ":" if kind == "nrrd" else "="
        key, found, value = line.partition(separator)
        if found:
            entries[key.strip().lower()] = value.lstrip("=").strip()
        if key.strip().lower() == "elementdatafile":
            break
    given = [entries[key] for key in _SPACING_KEYS[kind] if key in entries]
    if not given:
        raise InputError(path, "states no voxel spacing.", f"Add {_SPACING_KEYS[kind][0]} to its header.")
    if "(" not in given[0]:
        numbers = [float(n) for n in given[0].split() if _is_number(n)]
        if not numbers or not np.isfinite(numbers).all() or min(numbers) <= 0:
            raise InputError(path, f"has the spacing {given[0]} mm.", "Correct it in its header.")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

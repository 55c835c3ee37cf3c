"""Headers of NIfTI files, refused where they contradict themselves or do not place the voxels in the patient."""

from __future__ import annotations

import math
from pathlib import Path

import nibabel as nib
import numpy as np

from bundle.errors import InputError

__all__ = ["check_nifti_header"]

_CORRECT = "Correct it in its header, or convert the CT again."
_UNITS = {0: "no unit", 1: "metre", 2: "mm", 3: "micron"}
_MOST_SCALING = 1e6
_SAME_LENGTH = 0.02  # of a voxel's side; pixdim is often rounded
_SAME_PLACE_VOXELS = 0.5
_RIGHT_ANGLE = 0.01  # cosine
_LARGEST_TILT = 0.55  # cosine between slices and their stack; gantries tilt by at most 30 degrees


def check_nifti_header(header: nib.Nifti1Header, path: Path) -> tuple[int, ...]:
    """Refuses a header without valid sizes, scaling, spacing, orientation or position.

    Args:
        header: as it is stored: nibabel replaces what makes no sense with what does.
        path: its file.

    Returns:
        The voxels along each of the three axes.

    Raises:
        InputError: naming the field.
    """
    shape = _sizes(header, path)
    kind = header.get_data_dtype() if int(header["datatype"]) in nib.nifti1.data_type_codes.code else np.dtype("V")
    if kind.kind not in "iuf" or int(header["bitpix"]) != 8 * kind.itemsize:
        raise InputError(
            path,
            f"has the datatype {int(header['datatype'])} and bitpix {int(header['bitpix'])}.",
            "Save it as integers or floats.",
        )
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    scaled = slope != 0 and not math.isnan(slope)
    if scaled and not (abs(slope) < _MOST_SCALING and abs(intercept) < _MOST_SCALING):
        raise InputError(path, f"has scl_slope {slope:g} and scl_inter {intercept:g}.", _CORRECT)
    unit = int(header["xyzt_units"]) & 7
    if unit not in (0, 2):
        raise InputError(path, f"states lengths in {_UNITS.get(unit, unit)} (xyzt_units).", "Save it in mm.")
    spacing = np.asarray(header["pixdim"][1:4], dtype=float)
    if not np.isfinite(spacing).all() or (spacing <= 0).any():
        raise InputError(path, f"has the spacing {spacing.tolist()} mm.", "Correct pixdim in its header.")
    _check_place(header, shape, spacing, path)
    return shape


def _sizes(header: nib.Nifti1Header, path: Path) -> tuple[int, ...]:
    dim = [int(n) for n in header["dim"]]
    axes = dim[0]
    if not 1 <= axes <= 7 or min(dim[1 : axes + 1]) < 1:
        raise InputError(path, f"has the sizes {dim} (dim).", _CORRECT)
    while axes > 3 and dim[axes] == 1:
        axes -= 1
    return tuple(dim[1 : axes + 1])


def _check_place(header: nib.Nifti1Header, shape: tuple[int, ...], spacing: np.ndarray, path: Path) -> None:
    """Compares sform, qform and pixdim."""
    sform, qform = int(header["sform_code"]) > 0, int(header["qform_code"]) > 0
    if not sform and not qform:
        raise InputError(
            path, "states neither orientation nor position.", "Set its sform or qform, or convert it from DICOM again."
        )
    affines = {}
    if sform:
        affines["sform"] = np.vstack([header[name] for name in ("srow_x", "srow_y", "srow_z")] + [[0, 0, 0, 1]])
    if qform:
        try:
            affines["qform"] = header.get_qform()
        except (ValueError, nib.spatialimages.HeaderDataError) as error:
            raise InputError(path, f"has no valid qform ({error}).", _CORRECT) from error
    for name, affine in affines.items():
        sides = np.linalg.norm(affine[:3, :3], axis=0)
        if not np.isfinite(affine).all() or (sides == 0).any():
            raise InputError(path, f"has the {name} {affine[:3].tolist()}.", _CORRECT)
        cosines = np.abs(np.triu((affine[:3, :3] / sides).T @ (affine[:3, :3] / sides), 1))
        if cosines[0, 1] > _RIGHT_ANGLE or cosines.max() > _LARGEST_TILT:
            raise InputError(path, f"has axes ({name}) that are not at right angles.", "Resample it first.")
        if not np.allclose(sides, spacing, rtol=_SAME_LENGTH, atol=0):
            stated = f"voxels of {np.round(sides, 4).tolist()} mm in its {name} and of {spacing.tolist()} mm in pixdim"
            raise InputError(path, f"has {stated}.", _CORRECT)
    if len(affines) == 2 and len(shape) == 3:
        _check_same_place(affines["sform"], affines["qform"], shape, spacing, path)


def _check_same_place(
    sform: np.ndarray, qform: np.ndarray, shape: tuple[int, ...], spacing: np.ndarray, path: Path
) -> None:
    corners = np.array(np.meshgrid(*([0, n - 1] for n in shape))).reshape(3, -1)
    apart_mm = np.linalg.norm((sform - qform)[:3, :3] @ corners + (sform - qform)[:3, 3:], axis=0).max()
    if apart_mm > _SAME_PLACE_VOXELS * spacing.max():
        raise InputError(
            path, f"lies in two places: its sform and qform differ by {apart_mm:.3g} mm.", "Correct one, or remove it."
        )

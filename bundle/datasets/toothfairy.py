"""ToothFairy: cone-beam CT of heads, one NumPy array per patient."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from bundle.data.slice_stack import SliceStack
from bundle.datasets.raw_case import RawCase, RawFile, RawVolume
from bundle.datasets.reading import check_intensities
from bundle.datasets.source_tree import folder_problem
from bundle.errors import InputError

__all__ = ["LAYOUT", "VOXEL_MM", "find", "read"]

LAYOUT = "folders P1, P2, ... with a file data.npy each"
VOXEL_MM = 0.3


def find(source: Path) -> list[RawCase]:
    """One case per folder P*; a numbered one without its array has a problem."""
    cases = []
    for folder in sorted(source.glob("P*")):
        array = folder / "data.npy"
        problem = None
        if not os.path.isfile(array):
            if os.path.isfile(folder) or not re.fullmatch(r"P\d+", folder.name):
                continue
            problem = folder_problem(folder) or InputError(folder, "has no data.npy.", "Download it again.")
        cases.append(RawCase(folder.name, folder.name, RawFile(array), problem=problem))
    return cases


def read(case: RawCase, check_hu: bool = True) -> RawVolume:
    """Reads a case.

    The array states neither spacing nor axes. It is taken as [D, H, W] with voxels of 0.3 mm, D running towards the
    head, H from front to back and W from the patient's right to left; its first voxel is put at the origin.

    Raises:
        InputError: when the array is damaged, not of numbers, not 3D, not finite or not HU.
    """
    if case.problem is not None:
        raise case.problem
    path = case.image.path
    try:
        array = np.lib.format.open_memmap(path, mode="r")  # reads neither archives nor pickles
    except (OSError, ValueError, EOFError) as error:
        raise InputError(path, f"cannot be read ({error}).", "It must be a complete .npy file of numbers.") from error
    stack = SliceStack(array.shape[::-1], path)
    for k, plane in enumerate(array):
        stack.put(k, plane.T)
    check_intensities(stack.values, path, check_hu)
    return RawVolume(stack.values, np.diag([-VOXEL_MM, -VOXEL_MM, VOXEL_MM, 1.0]))

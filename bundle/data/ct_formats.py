"""Formats of CT volumes: endings, names, and the axes of their coordinates."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

__all__ = ["CT_SUFFIXES", "ITK_SUFFIXES", "LPS_TO_RAS", "NIFTI_SUFFIXES", "case_name", "labelled_case"]

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
NIFTI_SUFFIXES = (".nii", ".nii.gz")
ITK_SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr")
CT_SUFFIXES = (*NIFTI_SUFFIXES, *ITK_SUFFIXES)
"""Endings of the files that can be read as CT."""


def case_name(path: str | os.PathLike) -> str:
    """File name without its suffixes."""
    name = Path(path).name
    for suffix in (*CT_SUFFIXES, ".npz"):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def labelled_case(name: str) -> str | None:
    """The case X that a file of the case name X_labels, X_label or X_seg is the label map of; None for other names."""
    told = re.fullmatch(r"(.+)_(?:labels?|seg)", name, flags=re.IGNORECASE)
    return told.group(1) if told else None

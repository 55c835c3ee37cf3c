"""Reconstructed volumes as files, in the format that is asked for."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from bundle.arguments import is_true
from bundle.atomic import check_output
from bundle.data.ct_formats import NIFTI_SUFFIXES
from bundle.data.ct_volume import write_hu
from bundle.errors import InputError
from bundle.optional import require

__all__ = ["OUTPUT_FORMATS", "VolumeOutput"]

OUTPUT_FORMATS = ("nifti", "dicom")


class VolumeOutput:
    """Where a volume goes.

    Args:
        path: a NIfTI file, or the folder of a DICOM series.
        output_format: nifti or dicom.
        overwrite: replace what is there; of a folder only if it holds nothing but .dcm files.
        source: what is reconstructed; where it is the folder of a DICOM series, one that is written joins its patient,
            study and frame of reference.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        output_format: str = "nifti",
        overwrite: bool = False,
        source: str | os.PathLike | None = None,
    ) -> None:
        self.path = Path(path)
        self.format = output_format
        self.overwrite = is_true(overwrite, "overwrite")
        self.source = source

    def check(self) -> None:
        """Refuses an output before any work is done.

        Raises:
            InputError: when the format is unknown, or the output is the source, has the wrong suffix, exists, or cannot
                be written.
            ImportError: when pydicom is needed and missing.
        """
        if self.format not in OUTPUT_FORMATS:
            raise InputError("output_format", f"is {self.format!r}.", f"Use {' or '.join(OUTPUT_FORMATS)}.")
        if self.format == "nifti":
            check_output(self.path, self.overwrite, NIFTI_SUFFIXES, inputs=[self.source])
            return
        require("pydicom", "pydicom", "writing DICOM")
        if self.path.name.lower().endswith((*NIFTI_SUFFIXES, ".dcm")):
            raise InputError(self.path, "is the name of a file.", "A DICOM series is a folder of files: name that.")
        check_output(self.path, self.overwrite, folder=True, inputs=[self.source])
        others = (
            [entry for entry in self.path.iterdir() if entry.suffix.lower() != ".dcm"] if self.path.is_dir() else []
        )
        if others or self.path.is_file():
            raise InputError(
                self.path, "is no folder of DICOM files alone, so it is not replaced.", "Choose another output."
            )

    def write(self, hu: np.ndarray, affine_ras: np.ndarray, method: str) -> None:
        """Writes the volume.

        Args:
            hu: [x, y, z] Hounsfield units.
            affine_ras: [4, 4] map from voxel index to RAS millimetres.
            method: what reconstructed it.
        """
        if self.format == "nifti":
            write_hu(hu, affine_ras, self.path)
            return
        from bundle.data.dicom_output import write_dicom_series

        series = self.source if self.source is not None and os.path.isdir(self.source) else None
        write_dicom_series(hu, affine_ras, self.path, method, series)

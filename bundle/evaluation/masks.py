"""Segmentations of volumes as files, made once."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bundle.data.grids import Volume
from bundle.data.nifti import load_nifti, write_nifti
from bundle.errors import naming
from bundle.json_files import read_json_object, write_json
from bundle.segmentation.segmenter import Segmenter

__all__ = ["MaskStore", "checksum"]


@dataclass
class MaskStore:
    """Segments volumes and keeps the label maps, each beside a note of what it was made from.

    Args:
        segmenter: what segments.
        folder: folder for the label maps.
    """

    segmenter: Segmenter
    folder: Path

    def __post_init__(self) -> None:
        self.identity = dict(self.segmenter.describe())

    def segment(self, volume: Volume, name: str, source: Path) -> tuple[np.ndarray, Path]:
        """The label map of a volume; an earlier one of the same volume by the same segmenter is read again.

        Args:
            volume: values in HU, and affine.
            name: of the file to write, without its suffix.
            source: the volume's own file, to be named in messages.

        Returns:
            [X, Y, Z] labels, and the file that holds them.

        Raises:
            InputError: when the segmenter refuses the volume.
        """
        path = self.folder / f"{name}.nii.gz"
        note, made_from = self.folder / f"{name}.json", {"volume": checksum(volume), "segmenter": self.identity}
        if path.is_file() and read_json_object(note) == made_from:
            with suppress(Exception):  # readers raise many kinds for damaged files; made again
                return np.asarray(load_nifti(path).dataobj), path
        with naming(source):
            labels = self.segmenter(*volume)
        note.unlink(missing_ok=True)  # a label map beside it is another's from now on
        write_nifti(labels, volume[1], path)
        write_json(made_from, note)
        return labels, path


def checksum(volume: Volume, **settings: Any) -> str:
    """SHA-256 of a volume's values and place, and of settings beside it."""
    values, affine = volume
    told = json.dumps([values.shape, str(values.dtype), np.round(affine, 6).tolist(), settings], sort_keys=True)
    digest = hashlib.sha256(told.encode())
    digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()

"""Scoring one reconstruction: image quality, and its segmentation against those of the truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

import bundle
from bundle.data.ct_volume import write_hu
from bundle.data.grids import Volume, check_same_grid, on_grid, read_volume, same_grid
from bundle.data.nifti import write_nifti
from bundle.evaluation.labels import LabelStructures, read_labels
from bundle.evaluation.masks import MaskStore, checksum
from bundle.evaluation.reconstruction import Reconstruction
from bundle.json_files import read_json_object, write_json
from bundle.metrics.catalogue import QUALITY
from bundle.metrics.image_quality import psnr, quality
from bundle.metrics.overlap import overlap_rows
from bundle.physics.attenuation import hu_to_unit
from bundle.report.numbers import plain
from bundle.segmentation.frame import turned

__all__ = ["Score", "Scorer"]

_QUALITY = tuple(metric.key for metric in QUALITY)
_SAME_VOLUME_DB = 0.01  # files are rounded to whole HU; beyond that a table's row is of another volume


@dataclass(frozen=True)
class Score:
    """What is known of one reconstruction.

    Args:
        quality: row with its image quality.
        structures: rows, one for each structure and reference.
        volume: file of the reconstruction on the truth's grid.
        mask: file of its segmentation.
        reference_masks: file of each reference's label map.
    """

    quality: dict[str, Any]
    structures: list[dict[str, Any]]
    volume: Path
    mask: Path
    reference_masks: Mapping[str, Path]


@dataclass(frozen=True)
class _Reference:
    """A label map of the truth: [X, Y, Z] values, its file, the structures' names, and a checksum of it all."""

    labels: np.ndarray
    file: Path
    names: Mapping[int, str]
    checksum: str


@dataclass(frozen=True)
class _Truth:
    """A truth, the checksum of it, and what reconstructions are compared with."""

    volume: Volume
    checksum: str
    references: Mapping[str, _Reference]


class Scorer:
    """Scores reconstructions, and keeps what it found, so that nothing is computed twice.

    Args:
        segmenter: segments reconstructions and truths alike.
        folder: folder for label maps and scores.
        hu_window: HU at 0 and 1 of the image quality's scale.
        label_structures: what given label maps mean; those are then further references.
        resample: bring reconstructions on other grids to the truth's, instead of refusing them.
        check_hu: refuse given volumes that cannot be HU. What was reconstructed here is HU, however bad.
    """

    def __init__(
        self,
        segmenter: Any,
        folder: Path,
        hu_window: Sequence[float],
        label_structures: LabelStructures | None = None,
        resample: bool = False,
        check_hu: bool = True,
    ) -> None:
        self.masks = MaskStore(segmenter, folder / "masks")
        self.folder = folder
        self.hu_window = tuple(float(n) for n in hu_window)
        self.label_structures = label_structures
        self.resample = resample
        self.check_hu = check_hu
        self._truth: tuple[tuple, _Truth] | None = None

    def __call__(self, reconstruction: Reconstruction) -> Score:
        """Scores one reconstruction.

        Raises:
            InputError: when a volume cannot be read, is not HU, or lies on another grid than the truth.
        """
        truth = self._read_truth(reconstruction)
        volume, path = self._read_reconstruction(reconstruction, truth.volume)
        mask, mask_path = self.masks.segment(volume, reconstruction.stem, reconstruction.volume)
        record_path = self.folder / "scores" / f"{reconstruction.stem}.json"
        key = {
            "volume": checksum(volume, hu_window=self.hu_window, quality=dict(reconstruction.quality)),
            "truth": truth.checksum,
            "mask": checksum((mask, volume[1])),
            **{name: reference.checksum for name, reference in truth.references.items()},
            "version": bundle.__version__,
        }
        record = read_json_object(record_path)
        if record is None or record.get("key") != key:
            rows = [
                {"reference": name, **row}
                for name, reference in truth.references.items()
                for row in self._compare(mask, reference, truth.volume[1])
            ]
            record = plain(
                {"key": key, "quality": self._quality(reconstruction, volume, truth.volume), "structures": rows}
            )
            write_json(record, record_path)
        keys = reconstruction.keys
        provenance = {"volume_sha256": key["volume"], "truth_sha256": key["truth"]}
        return Score(
            {**keys, **record["quality"], "psnr_db": float(record["quality"]["psnr_db"]), **provenance},
            [{**keys, **row} for row in record["structures"]],
            path,
            mask_path,
            {name: reference.file for name, reference in truth.references.items()},
        )

    def _read_truth(self, reconstruction: Reconstruction) -> _Truth:
        """The truth with its references; reconstructions of a case follow each other and share it."""
        key = (reconstruction.case, reconstruction.truth, reconstruction.labels)
        if self._truth is None or self._truth[0] != key:
            volume = read_volume(reconstruction.truth, self.check_hu)
            self._truth = key, _Truth(volume, checksum(volume), self._references(reconstruction, volume))
        return self._truth[1]

    def _read_reconstruction(self, reconstruction: Reconstruction, truth: Volume) -> tuple[Volume, Path]:
        path = reconstruction.volume
        volume = read_volume(path, self.check_hu and reconstruction.is_given)
        if not self.resample:
            check_same_grid(volume, truth, path, reconstruction.truth)
        if same_grid(volume, truth):
            return (volume[0], truth[1]), path
        volume = on_grid(volume, truth), truth[1]
        path = self.folder / "resampled" / f"{reconstruction.stem}.nii.gz"
        write_hu(*volume, path)
        return volume, path

    def _references(self, reconstruction: Reconstruction, truth: Volume) -> dict[str, _Reference]:
        """The segmenter's label map of the truth, and the given one, by name of the reference."""
        names = dict(self.masks.segmenter.structures)
        stem = f"truth/{reconstruction.case}"
        labels, path = self.masks.segment(truth, f"{stem}_segmented", reconstruction.truth)
        references = {"segmented": _Reference(labels, path, names, checksum((labels, truth[1]), names=names))}
        if self.label_structures is not None and reconstruction.labels is not None:
            names = self.label_structures.names
            labels = read_labels(reconstruction.labels, self.label_structures, truth)
            path = self.masks.folder / f"{stem}_labels.nii.gz"
            write_nifti(labels, truth[1], path)
            references["labels"] = _Reference(labels, path, names, checksum((labels, truth[1]), names=names))
        return references

    def _compare(self, mask: np.ndarray, reference: _Reference, affine_ras: np.ndarray) -> list[dict[str, Any]]:
        """Rows of the structures that both label maps know."""
        voxel_mm = nib.affines.voxel_sizes(affine_ras)
        numbers = {name: number for number, name in reference.names.items()}
        shared = [(label, numbers[name]) for label, name in self.masks.segmenter.structures.items() if name in numbers]
        renamed = np.zeros(reference.labels.shape, dtype=mask.dtype)
        for label, number in shared:
            renamed[reference.labels == number] = label
        structures = {label: reference.names[number] for label, number in shared}
        return overlap_rows(mask, renamed, structures, voxel_mm)

    def _quality(self, reconstruction: Reconstruction, volume: Volume, truth: Volume) -> dict[str, Any]:
        """Image quality with its provenance: as measured when it was reconstructed, or of the files."""
        # VIF is that of axial slices, however the files are stored.
        upright = (turned(values, truth[1], "LPS").values for values in (volume[0], truth[0]))
        one, other = (hu_to_unit(values, self.hu_window).astype(np.float32) for values in upright)
        known = dict(reconstruction.quality)
        figures = {name: _number(known.get(name)) for name in _QUALITY}
        recorded = figures["psnr_db"]
        if recorded is not None and abs(recorded - psnr(one, other, 1.0)) < _SAME_VOLUME_DB and "vif" in known:
            provenance = {name: value for name, value in known.items() if name not in (*_QUALITY, *reconstruction.keys)}
            return {**figures, **provenance}
        return {
            **{name: _number(value, infinite=True) for name, value in quality(one, other).items()},
            "data_range": 1.0,
            "crop": "none",
            "dtype": "float32",
            "shape": "x".join(str(n) for n in one.shape),
            "hu_window": f"{self.hu_window[0]:g} to {self.hu_window[1]:g}",
            "version": bundle.__version__,
        }


def _number(value: object, infinite: bool = False) -> float | None:
    """A figure as a number; None where it is undefined."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) or (infinite and number == math.inf) else None

"""Reconstructions as files."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.utils import CommonKeys

from bundle.arguments import is_true
from bundle.atomic import check_output
from bundle.data.ct_volume import read_ct, write_hu
from bundle.data.load_projections import grid_affine
from bundle.data.volume_output import VolumeOutput
from bundle.errors import InputError
from bundle.handlers.compared_methods import VOLUMES, items_and_outputs, planned_views
from bundle.physics.attenuation import unit_to_hu
from bundle.presets import ScanPreset

__all__ = ["ReconstructionSaver", "truth_path", "volume_path"]


def volume_path(folder: Path, case: str, views: int, method: str = "") -> Path:
    """Where a reconstruction is saved; the network's own has no method in its name."""
    return folder / case / f"{case}_{views}views{f'_{method}' if method else ''}.nii.gz"


def truth_path(folder: Path, case: str) -> Path:
    """Where a case's truth is saved."""
    return folder / case / f"{case}_truth.nii.gz"


class ReconstructionSaver:
    """Writes every reconstruction in HU, in patient coordinates.

    Args:
        scan: the scan, for its HU window.
        output: the one volume to write, or None to write to output_dir.
        output_dir: folder for <case>_<n>views.nii.gz, <case>_<n>views_<method>.nii.gz of compared methods, and
            <case>_truth.nii.gz where the truth is known; the same truth of an earlier run stays.
        overwrite: replace existing files of output_dir.
        method: what reconstructs, for the one volume.
    """

    def __init__(
        self,
        scan: ScanPreset,
        output: VolumeOutput | None = None,
        output_dir: str | os.PathLike | None = None,
        overwrite: bool = False,
        method: str = "deepsparse",
    ) -> None:
        if (output is None) == (output_dir is None):
            raise ValueError("give either output or output_dir.")
        self.scan = scan
        self.output = output
        self.output_dir = None if output_dir is None else Path(output_dir)
        self.overwrite = is_true(overwrite, "overwrite")
        self.method = method
        self._truths: set[str] = set()  # cases whose truth is in place

    def attach(self, engine: Engine) -> None:
        """Checks the outputs before any work, truths before their reconstruction; saves after every iteration."""
        if self.output is not None:
            self.output.check()
        engine.add_event_handler(Events.STARTED, self._check_all)
        engine.add_event_handler(Events.ITERATION_STARTED, self._check_truths)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def _check_all(self, engine: Engine) -> None:
        if self.output_dir is None:
            return
        loader: Any = engine.state.dataloader
        for item in getattr(loader.dataset, "data", []):
            if "case" in item and "num_sparse" in item:
                path = volume_path(self.output_dir, item["case"], item["num_sparse"])
                compared = glob.escape(path.name.removesuffix(".nii.gz")) + "_*.nii.gz"
                for there in (path, *path.parent.glob(compared)):
                    check_output(there, self.overwrite)

    def _check_truths(self, engine: Engine) -> None:
        if self.output_dir is None or self.overwrite:
            return
        batch: Any = engine.state.batch
        for number, case in enumerate(batch["case"]):
            path, image = truth_path(self.output_dir, case), batch[CommonKeys.IMAGE][number]
            if case in self._truths or not path.exists():
                continue
            if not _is_same(path, self._hu(image[0]), np.asarray(image.affine.cpu())):
                raise InputError(
                    path,
                    f"is another truth than the {case} of this evaluation.",
                    "Choose another output, or set overwrite to true.",
                )
            self._truths.add(case)

    def __call__(self, engine: Engine) -> None:
        """Saves the iteration's reconstructions."""
        for item, output in items_and_outputs(engine):
            if self.output is not None:
                prediction = output[CommonKeys.PRED][0]
                affine = grid_affine(np.asarray(item["unit_to_patient"].cpu()), tuple(prediction.shape))
                self.output.check()
                self.output.write(self._hu(prediction), affine, self.method)
                engine.logger.info("Wrote %s", self.output.path)
            if self.output_dir is not None:
                self._save(item, output, self.output_dir)

    def _save(self, item: Mapping[str, Any], output: Mapping[str, Any], folder: Path) -> None:
        case, affine = item["case"], np.asarray(item[CommonKeys.IMAGE].affine.cpu())
        views = planned_views(item)
        self._write(output[CommonKeys.PRED][0], affine, volume_path(folder, case, views))
        for method, volume in output.get(VOLUMES, {}).items():
            self._write(volume[0], affine, volume_path(folder, case, views, method))
        if case not in self._truths:
            self._write(output[CommonKeys.LABEL][0], affine, truth_path(folder, case))
            self._truths.add(case)

    def _write(self, volume: torch.Tensor, affine: np.ndarray, path: Path) -> None:
        check_output(path, self.overwrite)
        write_hu(self._hu(volume), affine, path)

    def _hu(self, volume: torch.Tensor) -> np.ndarray:
        return unit_to_hu(volume.float().cpu().numpy(), self.scan.hu_window)


def _is_same(path: Path, hu: np.ndarray, affine: np.ndarray) -> bool:
    """Whether a file holds this volume, to the last digit of whole HU."""
    there = read_ct(path, check_hu=False)
    return (
        there.shape[1:] == hu.shape
        and np.allclose(there.affine.numpy(), affine, atol=1e-3)
        and bool(np.abs(there[0].numpy() - hu).max() <= 1)
    )

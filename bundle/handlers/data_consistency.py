"""Refining the network's volumes towards the measured projections, and reporting what is left."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.utils import CommonKeys

from bundle.arguments import is_true
from bundle.atomic import check_output
from bundle.classical import DataConsistency, view_residuals
from bundle.errors import InputError
from bundle.finite import check_reconstruction
from bundle.handlers.compared_methods import VOLUMES, items_and_outputs, measured_scan, planned_views
from bundle.tables import read_rows, write_rows

__all__ = ["RefineReconstruction", "ResidualTable"]

_IDENTITY = ("case", "method", "views")


class RefineReconstruction:
    """Replaces the network's volume by its refinement.

    Args:
        refine: how; nothing is refined if None. Its noise is that of one measured pixel.

    Raises:
        InputError: when it is anything else, such as a method's name.
    """

    def __init__(self, refine: DataConsistency | None = None) -> None:
        if refine is not None and not isinstance(refine, DataConsistency):
            raise InputError(
                "refine",
                f"is {refine!r}.",
                'Give {"_target_": "bundle.classical.DataConsistency", "method": "sart", "hu_window": '
                '"$@scan.hu_window"}, or use python -m bundle reconstruct --refine sart.',
            )
        self.refine = refine

    def name_of(self, method: str) -> str:
        """What a method's volumes are called afterwards."""
        return method if self.refine is None else f"{method}, refined by {self.refine.method}"

    def attach(self, engine: Engine) -> None:
        """Refines after every iteration; attach it before the handlers that use the volumes."""
        if self.refine is not None:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    @torch.no_grad()
    def __call__(self, engine: Engine) -> None:
        """Refines the iteration's volumes."""
        if self.refine is None:
            return
        for item, output in items_and_outputs(engine):
            projections, geometry = measured_scan(item, output)
            refine = _for_item(self.refine, item)
            refined = refine(projections, geometry, output[CommonKeys.PRED][None].float())[0]
            check_reconstruction(refined, self.name_of("deepsparse"), item.get("case", ""))
            output[CommonKeys.PRED] = refined


class ResidualTable:
    """How well every reconstruction explains its projections: one CSV row for each view.

    Residuals are of unit integrals in mm (see bundle.physics.attenuation). The mean over the views is logged.

    Args:
        path: CSV file; none is written if None.
        method: name of the network's volumes.
        noise: knows the noise of one measured pixel, for the expected residual; none if None.
        split: checksum of the split into training, validation and test cases, for a column; none if None.
        overwrite: replace an existing file.
        keep_others: rows of other cases, methods and numbers of views stay in the file, which may then exist.
    """

    def __init__(
        self,
        path: str | os.PathLike | None,
        method: str = "deepsparse",
        noise: DataConsistency | None = None,
        split: str | None = None,
        overwrite: bool = False,
        keep_others: bool = False,
    ) -> None:
        self.path = None if path is None else Path(path)
        self.method = method
        self.noise = noise
        self.split = {} if split is None else {"split": split}
        self.overwrite = is_true(overwrite, "overwrite")
        self.keep_others = keep_others
        self.rows: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        """Checks the file before any work; writes after every iteration."""
        if self.path is not None:
            check_output(self.path, self.overwrite or self.keep_others, (".csv",))
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def _start(self, engine: Engine) -> None:
        self.rows = []

    @torch.no_grad()
    def __call__(self, engine: Engine) -> None:
        """Adds the iteration's volumes."""
        for item, output in items_and_outputs(engine):
            projections, geometry = measured_scan(item, output)
            planned = planned_views(item) if "sparse_mask" in item else geometry.num_views
            variance = None if self.noise is None else _for_item(self.noise, item).noise_variance(projections)
            for name, volume in {self.method: output[CommonKeys.PRED], **output.get(VOLUMES, {})}.items():
                views = view_residuals(volume, projections[0], geometry, None if variance is None else variance[0])
                label = {"case": item.get("case", ""), "method": name, "views": planned}
                self.rows += [{**label, **view.row(), **self.split} for view in views]
                mean = 100 * float(np.mean([view.relative for view in views]))
                worst = max(views, key=lambda view: view.relative)
                engine.logger.info(
                    "%s: residual %.2f %% of the projections, largest in view %d (%.1f degrees): %.2f %%",
                    *(name, mean, worst.view, worst.angle_deg, 100 * worst.relative),
                )
        if self.path is not None:
            write_rows(self._others(self.path) + self.rows, self.path)

    def _others(self, path: Path) -> list[dict[str, Any]]:
        """Rows of the file that these do not replace."""
        new = {tuple(str(row[key]) for key in _IDENTITY) for row in self.rows}
        rows = read_rows(path) if self.keep_others else []
        return [row for row in rows if tuple(row.get(key, "") for key in _IDENTITY) not in new]


def _for_item(consistency: DataConsistency, item: Mapping[str, Any]) -> DataConsistency:
    """With the noise and the attenuation of water of an item's projections."""
    mu_water = float(item.get("mu_water_per_mm", consistency.mu_water_per_mm))
    noise = consistency.noise
    if noise is not None:
        noise = noise.averaged(float(item.get("pixels_averaged", 1.0)))
    return replace(consistency, noise=noise, mu_water_per_mm=mu_water)

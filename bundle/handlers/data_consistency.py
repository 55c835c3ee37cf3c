"""Refining the network's volumes towards the measured projections, and reporting what is left."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.utils import CommonKeys

from bundle.atomic import check_output
from bundle.classical import DataConsistency, view_residuals
from bundle.handlers.compared_methods import VOLUMES, measured_scan
from bundle.tables import write_rows

__all__ = ["RefineReconstruction", "ResidualTable"]


class RefineReconstruction:
    """Replaces the network's volume by its refinement.

    Args:
        refine: how; nothing is refined if None.
    """

    def __init__(self, refine: DataConsistency | None = None) -> None:
        self.refine = refine

    def attach(self, engine: Engine) -> None:
        """Refines after every iteration; attach it before the handlers that use the volumes."""
        if self.refine is not None:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    @torch.no_grad()
    def __call__(self, engine: Engine) -> None:
        """Refines the iteration's volumes."""
        for item, output in zip(engine.state.batch, engine.state.output):
            projections, geometry = measured_scan(item, output)
            output[CommonKeys.PRED] = self.refine(projections, geometry, output[CommonKeys.PRED][None].float())[0]


class ResidualTable:
    """How well every reconstruction explains its projections: one CSV row for each view.

    Residuals are of unit integrals in mm (see bundle.physics.attenuation). The mean over the views is logged.

    Args:
        path: CSV file; none is written if None.
        method: name of the network's volumes.
        noise: for the expected residual, a DataConsistency that knows the detector's noise; none if None.
        overwrite: replace an existing file.
    """

    def __init__(
        self,
        path: str | os.PathLike | None,
        method: str = "deepsparse",
        noise: DataConsistency | None = None,
        overwrite: bool = False,
    ) -> None:
        self.path = None if path is None else Path(path)
        self.method = method
        self.noise = noise
        self.overwrite = overwrite
        self.rows: list[dict] = []

    def attach(self, engine: Engine) -> None:
        """Checks the file before any work; writes after every iteration."""
        if self.path is not None:
            check_output(self.path, self.overwrite, (".csv",))
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def _start(self, engine: Engine) -> None:
        self.rows = []

    @torch.no_grad()
    def __call__(self, engine: Engine) -> None:
        """Adds the iteration's volumes."""
        for item, output in zip(engine.state.batch, engine.state.output):
            projections, geometry = measured_scan(item, output)
            variance = None if self.noise is None else self.noise.noise_variance(projections)
            for name, volume in {self.method: output[CommonKeys.PRED], **output.get(VOLUMES, {})}.items():
                views = view_residuals(volume, projections[0], geometry, None if variance is None else variance[0])
                self.rows += [
                    {"case": item.get("case", ""), "method": name, "views": len(views), **view.row()} for view in views
                ]
                mean = float(np.mean([view.relative for view in views]))
                worst = max(views, key=lambda view: view.relative)
                engine.logger.info(
                    "%s: residual %.2f %% of the projections, largest in view %d (%.1f degrees): %.2f %%",
                    name, 100 * mean, worst.view, worst.angle_deg, 100 * worst.relative,
                )  # fmt: skip
        if self.path is not None:
            write_rows(self.rows, self.path)

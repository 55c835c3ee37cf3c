"""A table of results with their provenance."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.utils import CommonKeys

import bundle
from bundle.checkpoint import weights_hash
from bundle.handlers.compared_methods import UNTRAINED, VOLUMES, items_and_outputs, planned_views
from bundle.metrics import quality
from bundle.presets import ScanPreset
from bundle.simulation import OWN_VOXELS, SCANNED_FROM
from bundle.tables import read_rows, write_rows

__all__ = ["MetricsTable"]

_IDENTITY = ("case", "method", "views", "geometry", "weights", "acquisition", SCANNED_FROM, "split")


class MetricsTable:
    """Computes the image quality of every reconstruction and keeps it as one CSV row with its provenance.

    Volumes of compared methods (see ComparedMethods) have rows of their own.

    Rows of earlier runs stay in the file unless they describe the same case, method, views, geometry, weights,
    acquisition, scan and split. An item's "scanned_from" says how its scan was made.

    Args:
        path: CSV file.
        scan: the scan.
        network: the network, for the hash of its weights.
        method: name of the network's method.
        data_range: range of the normalised volume.
        acquisition: physics of the simulated projections; its description is a column, unless an item brings its
            own ("acquisition").
        split: checksum of the split into training, validation and test cases.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        scan: ScanPreset,
        network: torch.nn.Module,
        method: str = "deepsparse",
        data_range: float = 1.0,
        acquisition: object = None,
        split: str = "",
    ) -> None:
        self.path = Path(path)
        self.scan = scan
        self.network = network
        self.method = method
        self.data_range = data_range
        self.rows: list[dict[str, Any]] = []
        self._weights = ""
        self._acquisition = "exact" if acquisition is None else str(acquisition)
        self._split = split

    def attach(self, engine: Engine) -> None:
        """Writes after every iteration, and leaves the means in the engine's metrics for later handlers."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._average)

    def _start(self, engine: Engine) -> None:
        self.rows = []
        self._weights = weights_hash(self.network)[:16]

    def _collect(self, engine: Engine) -> None:
        for item, output in items_and_outputs(engine):
            target = output[CommonKeys.LABEL][0].float().cpu().numpy()
            geometry = np.ascontiguousarray(item["matrices"].cpu(), dtype=np.float32)
            for method, volume in {self.method: output[CommonKeys.PRED], **output.get(VOLUMES, {})}.items():
                prediction = volume[0].float().cpu().numpy()
                figures = quality(prediction, target, self.data_range)
                self.rows.append(
                    {
                        "case": item["case"],
                        "method": method,
                        "views": planned_views(item),
                        **{name: None if value is None else round(value, 5) for name, value in figures.items()},
                        "data_range": self.data_range,
                        "crop": "none",
                        "dtype": str(volume.dtype).removeprefix("torch."),
                        "shape": "x".join(str(n) for n in prediction.shape),
                        "preset": self.scan.name,
                        "geometry": hashlib.sha256(geometry.tobytes()).hexdigest()[:16],
                        "weights": "" if method in output.get(UNTRAINED, []) else self._weights,
                        "acquisition": item.get("acquisition", self._acquisition),
                        SCANNED_FROM: item.get(SCANNED_FROM, OWN_VOXELS),
                        "split": self._split,
                        "version": bundle.__version__,
                    }
                )
        self._write()

    def _write(self) -> None:
        new = {tuple(str(row[key]) for key in _IDENTITY) for row in self.rows}
        kept = [row for row in read_rows(self.path) if tuple(row.get(key, "") for key in _IDENTITY) not in new]
        write_rows(kept + self.rows, self.path)

    def _average(self, engine: Engine) -> None:
        for name in ("psnr_db", "ssim_3d", "ssim_slices"):
            own = [row[name] for row in self.rows if row["method"] == self.method and row[name] is not None]
            engine.state.metrics[name] = float(np.mean(own)) if own else float("nan")

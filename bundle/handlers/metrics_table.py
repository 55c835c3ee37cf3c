"""A table of results with their provenance."""

from __future__ import annotations

import csv
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.utils import CommonKeys

import bundle
from bundle.atomic import atomic_path
from bundle.checkpoint import weights_hash
from bundle.metrics import quality
from bundle.presets import ScanPreset

__all__ = ["MetricsTable"]

_IDENTITY = ("case", "method", "views", "geometry", "weights")


class MetricsTable:
    """Computes the image quality of every reconstruction and keeps it as one CSV row with its provenance.

    Rows of earlier runs stay in the file unless they describe the same case, method, views, geometry and weights.

    Args:
        path: CSV file.
        scan: the scan.
        network: the network, for the hash of its weights.
        method: name of the method.
        data_range: range of the normalised volume.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        scan: ScanPreset,
        network: torch.nn.Module,
        method: str = "deepsparse",
        data_range: float = 1.0,
    ) -> None:
        self.path = Path(path)
        self.scan = scan
        self.network = network
        self.method = method
        self.data_range = data_range
        self.rows: list[dict[str, Any]] = []
        self._weights = ""

    def attach(self, engine: Engine) -> None:
        """Collects and writes after every iteration, and leaves the means in the engine's metrics at the end."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._average)

    def _start(self, engine: Engine) -> None:
        self.rows = []
        self._weights = weights_hash(self.network)[:16]

    def _collect(self, engine: Engine) -> None:
        for item, output in zip(engine.state.batch, engine.state.output):
            prediction = output[CommonKeys.PRED][0].float().cpu().numpy()
            target = output[CommonKeys.LABEL][0].float().cpu().numpy()
            geometry = np.ascontiguousarray(item["matrices"].cpu(), dtype=np.float32)
            self.rows.append(
                {
                    "case": item["case"],
                    "method": self.method,
                    "views": int(item["sparse_mask"].sum()),
                    **{name: round(value, 5) for name, value in quality(prediction, target, self.data_range).items()},
                    "data_range": self.data_range,
                    "crop": "none",
                    "dtype": str(output[CommonKeys.PRED].dtype).removeprefix("torch."),
                    "shape": "x".join(str(n) for n in prediction.shape),
                    "preset": self.scan.name,
                    "geometry": hashlib.sha256(geometry.tobytes()).hexdigest()[:16],
                    "weights": self._weights,
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
            engine.state.metrics[name] = float(np.mean([row[name] for row in self.rows]))


def read_rows(path: str | os.PathLike) -> list[dict[str, str]]:
    """Rows of a table, none if there is no such file."""
    if not Path(path).is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(rows: list[dict[str, Any]], path: str | os.PathLike) -> None:
    """Writes a table, complete or not at all."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)

"""Times how items of a prepared data set are loaded."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from monai.data import DataLoader, Dataset
from monai.transforms import Compose

from bundle.data.sample_views import SampleViewsd
from bundle.phantoms import asymmetric_phantom, voxelise
from bundle.prepared.load import OpenPreparedd, SampleBlockd
from bundle.prepared.write import write_case
from bundle.presets import ScanPreset, load_preset
from scripts.benchmarks.result import Column, PartResult, Settings, Table, seconds_text

__all__ = ["measure_loading", "write_phantom"]

_CASES, _POINTS = 8, 10_000


def measure_loading(settings: Settings) -> PartResult:
    """Items of some cases, files in the page cache: medians, in this process and per worker of a data loader."""
    size, repeats = settings.size, settings.repeats
    scan = load_preset("abdomenatlas", (size, size), (size, size, size))
    with tempfile.TemporaryDirectory() as folder:
        cases = [{"image": write_phantom(Path(folder) / str(number), scan)} for number in range(_CASES)]
        views = SampleViewsd(scan, list(range(6, 25)), 24)
        block = SampleBlockd(_POINTS)
        label = f"24 views of {size}², one block of {size}³, {_POINTS:,} points"
        pipelines = {
            f"training item: {label}": Compose([OpenPreparedd("image", scan), views, block]),
            "training item on the fly: one block, no projections": Compose(
                [OpenPreparedd("image", scan, projections=False), views, block]
            ),
            f"validation item: 8 views, the whole volume of {size}³": Compose(
                [OpenPreparedd("image", scan, whole=True), SampleViewsd(scan, 8, random=False)]
            ),
        }
        rows = []
        for name, pipeline in pipelines.items():
            one, worker = median_item(pipeline, cases, repeats), median_in_worker(pipeline, cases, repeats)
            rows.append({"case": name, "item_seconds": one, "worker_item_seconds": worker})
    columns = [
        Column("case, files in the page cache", "case"),
        Column("an item", "item_seconds", seconds_text),
        Column("per worker of a data loader", "worker_item_seconds", seconds_text),
    ]
    return PartResult({"size": size, "repeats": repeats, "cases": _CASES}, {"loading": Table(rows, columns)})


def write_phantom(folder: Path, scan: ScanPreset) -> str:
    """A case with the values of a phantom and, as only their size matters here, random projections."""
    geometry = scan.geometry(scan.candidate_angles_rad)
    volume = voxelise(asymmetric_phantom(geometry.volume_size_mm), geometry).clip(0, 1).astype(np.float32)
    rng = np.random.default_rng(0)
    projections = rng.random((geometry.num_views, *geometry.detector_shape), dtype=np.float32)
    folder.mkdir()
    write_case(folder, folder.name, volume, np.eye(4), scan.hu_window, geometry, projections=projections)
    return str(folder)


def median_item(transform: Callable[[dict], dict], cases: list[dict], repeats: int) -> float:
    """Seconds per item in this process, every case having been read before."""
    for case in cases:
        transform(case)
    seconds = []
    for _ in range(10 * repeats):
        for case in cases:
            started = time.perf_counter()
            transform(case)
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def median_in_worker(transform: Callable[[dict], dict], cases: list[dict], repeats: int) -> float:
    """Seconds per item of one worker of a data loader that is kept busy, collation and transfer included."""
    data = Dataset(cases * (5 * repeats + 2), transform)
    loader = DataLoader(data, batch_size=2, num_workers=1, prefetch_factor=4)
    threads = torch.get_num_threads()
    arrivals = []
    for _ in loader:
        arrivals.append(time.perf_counter())
    torch.set_num_threads(threads)
    steady = np.diff(arrivals[_CASES:])
    return float(np.median(steady)) / 2

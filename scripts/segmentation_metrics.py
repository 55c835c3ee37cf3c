"""Times overlap and surface distances of organ-sized structures; a part of benchmark.py."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance
from monai.networks import one_hot

from bundle.metrics import overlap_rows

__all__ = ["benchmark_segmentation_metrics", "organ_labels"]

FIELD_MM = (384.0, 384.0, 410.0)
ORGANS = {
    "right lung": ((-75.0, 0.0, 40.0), (58.0, 80.0, 125.0)),
    "left lung": ((78.0, 5.0, 35.0), (52.0, 78.0, 120.0)),
    "liver": ((-50.0, -5.0, -135.0), (85.0, 75.0, 55.0)),
    "heart": ((15.0, -40.0, 0.0), (35.0, 45.0, 50.0)),
    "spleen": ((95.0, 40.0, -140.0), (28.0, 40.0, 50.0)),
}
"""Centre and semi-axes (x, y, z) in mm of ellipsoids of about the organs' sizes."""


def benchmark_segmentation_metrics(size: int, repeats: int) -> list[dict[str, str]]:
    """Five structures by this package, and by MONAI's three metrics on the whole grid, each in its own process."""
    rows, timed = [], {}
    for name, run in {"bundle.metrics": by_structure, "MONAI on the whole grid": on_whole_grid}.items():
        timed[name] = in_new_process(run, size, repeats)
        seconds, memory_mb = timed[name]
        rows.append(
            {
                "case": f"Dice, ASSD and HD95 of {len(ORGANS)} structures, {size}³",
                "by": name,
                "time": f"{seconds:.2f} s",
                "time / bundle.metrics": f"{seconds / timed['bundle.metrics'][0]:.1f}",
                "peak memory": f"{memory_mb:.0f} MB",
            }
        )
    return rows


def by_structure(labels: np.ndarray, reference: np.ndarray, voxel_mm: tuple[float, ...]) -> list[float]:
    """This package's figures."""
    rows = overlap_rows(labels, reference, dict(enumerate(ORGANS, start=1)), voxel_mm)
    return [row[name] for name in ("dice", "assd_mm", "hd95_mm") for row in rows]


def on_whole_grid(labels: np.ndarray, reference: np.ndarray, voxel_mm: tuple[float, ...]) -> list[float]:
    """The same figures as MONAI's documentation computes them: one-hot, one function after the other."""
    pair = [one_hot(torch.from_numpy(one.astype(np.int64))[None, None], len(ORGANS) + 1) for one in (labels, reference)]
    dice = compute_dice(*pair, include_background=False)
    assd = compute_average_surface_distance(*pair, symmetric=True, spacing=voxel_mm)
    hd95 = compute_hausdorff_distance(*pair, percentile=95, spacing=voxel_mm)
    return torch.cat([dice[0], assd[0], hd95[0]]).tolist()


def organ_labels(size: int, displaced: bool) -> tuple[np.ndarray, tuple[float, ...]]:
    """[size, size, size] uint8 labels of the organs, and the voxel size; displaced, as if segmented with errors."""
    voxel_mm = tuple(field / size for field in FIELD_MM)
    axes = [(np.arange(size) - (size - 1) / 2) * step for step in voxel_mm]
    waves = [np.cos(axis / 9.0).astype(np.float32) for axis in axes]  # bumps of a few millimetres on every surface
    bumps = waves[0][:, None, None] * waves[1][None, :, None] * waves[2][None, None, :]
    labels = np.zeros((size, size, size), np.uint8)
    for label, (centre, radii) in enumerate(ORGANS.values(), start=1):
        shift = np.array([3.0, -2.0, 4.0]) * displaced
        squares = [
            np.square((axis - c - s) / r).astype(np.float32) for axis, c, s, r in zip(axes, centre, shift, radii)
        ]
        level = squares[0][:, None, None] + squares[1][None, :, None] + squares[2][None, None, :]
        labels[level <= 1.0 + 0.08 * displaced * bumps] = label
    return labels, voxel_mm


def in_new_process(run: Callable[..., list[float]], size: int, repeats: int) -> tuple[float, float]:
    """Seconds of the fastest run, and the largest memory of its whole process in MB."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        return processes.submit(_measure, run, size, repeats).result()


def _measure(run: Callable[..., list[float]], size: int, repeats: int) -> tuple[float, float]:
    labels, voxel_mm = organ_labels(size, displaced=True)
    reference, _ = organ_labels(size, displaced=False)
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        run(labels, reference, voxel_mm)
        seconds.append(time.perf_counter() - started)
    return min(seconds), _peak_mb()


def _peak_mb() -> float:
    """Largest memory of this process in MB so far; NaN where the system does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), float("nan"))


if __name__ == "__main__":
    raise SystemExit("error: run it as: python scripts/benchmark.py segmentation")

"""Times overlap and surface distances of organ-sized structures."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance
from monai.networks import one_hot

from bundle.metrics import overlap_rows
from scripts.benchmarks.measuring import in_new_process, status_mb
from scripts.benchmarks.result import Check, Column, PartResult, Settings, Table, mb_text, seconds_text

__all__ = ["by_structure", "measure_segmentation", "on_whole_grid", "organ_labels", "time_and_memory"]

_TOLERANCE = 1e-4
FIELD_MM = (384.0, 384.0, 410.0)
ORGANS = {
    "right lung": ((-75.0, 0.0, 40.0), (58.0, 80.0, 125.0)),
    "left lung": ((78.0, 5.0, 35.0), (52.0, 78.0, 120.0)),
    "liver": ((-50.0, -5.0, -135.0), (85.0, 75.0, 55.0)),
    "heart": ((15.0, -40.0, 0.0), (35.0, 45.0, 50.0)),
    "spleen": ((95.0, 40.0, -140.0), (28.0, 40.0, 50.0)),
}
"""Centre and semi-axes (x, y, z) in mm of ellipsoids of about the organs' sizes."""


def measure_segmentation(settings: Settings) -> PartResult:
    """Five structures by this package, and by MONAI's three metrics on the whole grid, each in its own process."""
    rows, figures = [], {}
    for name, run in {"bundle.metrics": by_structure, "MONAI on the whole grid": on_whole_grid}.items():
        seconds, memory_mb, figures[name] = in_new_process(time_and_memory, run, settings.size, settings.repeats)
        case = f"Dice, ASSD and HD95 of {len(ORGANS)} structures, {settings.size}³"
        rows.append({"case": case, "by": name, "seconds": seconds, "process_peak_mb": memory_mb})
        rows[-1]["time_to_bundle_metrics_ratio"] = seconds / rows[0]["seconds"]
    columns = [
        Column("case", "case"),
        Column("by", "by"),
        Column("time", "seconds", seconds_text),
        Column("time / bundle.metrics", "time_to_bundle_metrics_ratio", "{:.1f}".format),
        Column("peak memory", "process_peak_mb", mb_text),
    ]
    difference = float(np.abs(np.subtract(*figures.values())).max())
    same = Check("both give the same figures", difference <= _TOLERANCE, difference, _TOLERANCE)
    used = {"size": settings.size, "repeats": settings.repeats}
    return PartResult(used, {"segmentation": Table(rows, columns)}, [same])


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


def time_and_memory(run: Callable[..., list[float]], size: int, repeats: int) -> tuple[float, float, list[float]]:
    """Seconds of the fastest run, the largest memory of this process so far in MB, and the figures."""
    labels, voxel_mm = organ_labels(size, displaced=True)
    reference, _ = organ_labels(size, displaced=False)
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        figures = run(labels, reference, voxel_mm)
        seconds.append(time.perf_counter() - started)
    return min(seconds), status_mb("VmHWM"), figures

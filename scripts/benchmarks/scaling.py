"""Times inference for growing outputs and numbers of views, and fits how time and memory grow."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bundle.optional import require
from scripts.benchmarks.measuring import in_new_process
from scripts.benchmarks.result import Check, Column, PartResult, Settings, Table, mb_text, seconds_text
from scripts.benchmarks.subject import PAPER, SMALL, Subject
from scripts.benchmarks.volume_runs import reconstruct

__all__ = ["fit", "measure_scaling"]

_MEMORY_GB = 2.0
_HOST_LIMIT_MB = 8 * 1024.0
_TERMS = {
    # what a figure is the sum of, of voxels and views
    "seconds": {
        "constant": lambda voxels, views: np.ones_like(voxels),
        "per view": lambda voxels, views: views,
        "per voxel": lambda voxels, views: voxels,
        "per voxel and view": lambda voxels, views: voxels * views,
    },
    "process_peak_mb": {
        "constant": lambda voxels, views: np.ones_like(voxels),
        "per view": lambda voxels, views: views,
        "per voxel": lambda voxels, views: voxels,
    },
}


def measure_scaling(settings: Settings) -> PartResult:
    """Outputs of growing size from 6 views, and growing numbers of views; every case in a process of its own."""
    sides = [settings.size // 4, settings.size // 2, settings.size, settings.size * 2]
    cases = [(side, 6) for side in sides] + [(sides[1], views) for views in (10, 16, 24)] + [(sides[2], 24)]
    if settings.quick:
        cases = [(8, 6), (24, 6), (8, 24), (24, 24)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        detector, sizes = (settings.size, settings.size), SMALL if settings.quick else PAPER
        subject = Subject.make(Path(folder), sizes, detector, (settings.size,) * 3, 6)
        by_views = {views: subject.with_views(views) for views in sorted({views for _, views in cases})}
        for side, views in cases:
            run = in_new_process(reconstruct, by_views[views], "auto", (side,) * 3, _MEMORY_GB, None)
            del run["values"]
            rows.append({"side": side, "voxels": side**3, "views": views, **run})
    fits = {figure: fit(rows, figure) for figure in _TERMS if not np.isnan(rows[0][figure])}
    for figure, found in fits.items():
        for row, fitted in zip(rows, found["fitted"]):
            row[f"fitted_{figure}"] = fitted
    largest = max(side for side, _ in cases)
    peak = max(row["process_peak_mb"] for row in rows if row["side"] == largest)
    name = f"the process's peak memory in MB for {largest}³ is below 8 GB"
    check = Check(name, peak < _HOST_LIMIT_MB, peak, _HOST_LIMIT_MB)
    used = {"detector_shape": detector, "memory_gb": _MEMORY_GB, "network": sizes}
    tables = {"scaling": Table(rows, _columns(), " ".join(told(figure, found) for figure, found in fits.items()))}
    return PartResult(used, tables, [check], {"fits": fits})


def fit(rows: list[dict[str, Any]], figure: str) -> dict[str, Any]:
    """Least squares of the relative residuals, with no negative coefficient.

    Args:
        rows: have "voxels", "views" and the figure.
        figure: "seconds" or "process_peak_mb".

    Returns:
        "coefficients" by term, "fitted" values, and "relative_residuals" of the figures to them.
    """
    optimize = require("scipy.optimize", "scipy", "fitting how time and memory grow")
    voxels, views, found = (np.array([row[key] for row in rows], float) for key in ("voxels", "views", figure))
    terms = np.stack([term(voxels, views) for term in _TERMS[figure].values()], axis=1)
    relative = terms / found[:, None]
    scale = np.linalg.norm(relative, axis=0)  # voxels are many
    coefficients = optimize.nnls(relative / scale, np.ones(len(rows)))[0] / scale
    fitted = terms @ coefficients
    return {
        "coefficients": dict(zip(_TERMS[figure], coefficients.tolist())),
        "fitted": fitted.tolist(),
        "relative_residuals": (found / fitted - 1).tolist(),
    }


def told(figure: str, found: dict[str, Any]) -> str:
    """A fit in words."""
    name, unit = {"seconds": ("Seconds", "s"), "process_peak_mb": ("The process's peak memory", "MB")}[figure]
    per_million = {"per voxel": " per million voxels", "per voxel and view": " per million voxels and view"}
    terms = []
    for term, value in found["coefficients"].items():
        if value > 0:
            size = value * 1e6 if term in per_million else value
            terms.append(f"{size:.3g} {unit}{per_million.get(term, '' if term == 'constant' else f' {term}')}")
    worst = 100 * max(map(abs, found["relative_residuals"]))
    return f"{name}, by least squares of the relative residuals: {' + '.join(terms)}; off by {worst:.0f} % at most."


def _columns() -> list[Column]:
    return [
        Column("output", "side", "{}³".format),
        Column("views", "views"),
        Column("time", "seconds", seconds_text),
        Column("fitted time", "fitted_seconds", seconds_text),
        Column("extra memory", "extra_memory_mb", mb_text),
        Column("peak memory of the process", "process_peak_mb", mb_text),
        Column("fitted peak", "fitted_process_peak_mb", mb_text),
    ]

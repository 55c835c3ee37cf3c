"""Times the reconstruction of a volume against the straightforward network, and compares the results."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bundle.inferer.backends import BACKENDS, REDUCED_PRECISION
from scripts.benchmarks.measuring import DEVICE, in_new_process
from scripts.benchmarks.result import Check, Column, PartResult, Settings, Table, mb_text, seconds_text
from scripts.benchmarks.subject import PAPER, SMALL, Subject
from scripts.benchmarks.volume_runs import chunk_seconds, reconstruct, reconstruct_by_chunks

__all__ = ["measure_inference"]

Run = dict[str, Any]
STRAIGHTFORWARD, BEST, POINTS = "straightforward", "straightforward, best chunk", "points"
_CHUNK = 100_000  # points of the straightforward evaluation at once
_MEMORY_GB = 2.0
_TIMED_POINTS = 200_000  # of the straightforward evaluation that tell its time
_COMPARED = 20_000  # voxels
_EXACT, _CLOSE_DB = 1e-4, 60.0
_SMALL_SHAPE = (20, 16, 24)


def measure_inference(settings: Settings) -> PartResult:
    """A volume by the straightforward network, by the package's point by point, and by each backend of the inferer.

    Every run has a process of its own, and all take turns. Results are compared with the straightforward ones at
    random voxels, and at all voxels of a small volume.
    """
    with tempfile.TemporaryDirectory() as folder:
        small = Subject.make(Path(folder), SMALL, (32, 48), _SMALL_SHAPE, 5, seed=1)
        voxels = np.arange(int(np.prod(_SMALL_SHAPE)))
        runs = _round(small, _SMALL_SHAPE, {STRAIGHTFORWARD: 1000, POINTS: 1000}, None, voxels, alone=False)
        checks = compare(runs, f"{_SMALL_SHAPE} of a small network")
    with tempfile.TemporaryDirectory() as folder:
        views = 10 if DEVICE.type == "cuda" else 6
        detector = (settings.size, settings.size)
        shape = (settings.size,) * 3
        subject = Subject.make(Path(folder), SMALL if settings.quick else PAPER, detector, shape, views)
        total = int(np.prod(shape))
        sizes = [chunk for chunk in (6250, 12_500, 25_000, 50_000, _CHUNK) if chunk <= total // 2] or [total]
        by_chunk = in_new_process(chunk_seconds, subject, shape, sizes)
        best = min(by_chunk, key=by_chunk.get)
        chunks = {STRAIGHTFORWARD: min(_CHUNK, total), BEST: best, POINTS: best}
        voxels = np.arange(total) if settings.full else _some(total)
        timed = None if settings.full else _TIMED_POINTS
        rounds = [_round(subject, shape, chunks, timed, voxels) for _ in range(min(2, settings.repeats))]
        checks += compare(rounds[0], f"{len(voxels):,} voxels of {settings.size}³")
    rows = _rows(rounds, total)
    used = {
        "views": views,
        "detector_shape": detector,
        "output_shape": shape,
        "memory_gb": _MEMORY_GB,
        "voxels_compared": len(voxels),
        "chunks": chunks,
        "straightforward_seconds_per_million_points": by_chunk,
        "rounds": len(rounds),
        "network": subject.sizes,
    }
    return PartResult(used, {"inference": Table(rows, _columns(), _note(used, rows))}, checks)


def compare(runs: dict[str, Run], where: str) -> list[Check]:
    """Whether every run equals the straightforward one; on a GPU by their PSNR."""
    truth, checks = runs[STRAIGHTFORWARD]["values"], []
    for name, run in runs.items():
        difference, psnr = agreement(run["values"], truth)
        if DEVICE.type == "cuda" or name in REDUCED_PRECISION:  # CUDA's convolutions round to TF32
            checks.append(Check(f"PSNR in dB of {name} at {where}", psnr >= _CLOSE_DB, psnr, _CLOSE_DB))
        elif name != STRAIGHTFORWARD:
            text = f"{name} equals {STRAIGHTFORWARD} at {where}"
            checks.append(Check(text, difference <= _EXACT, difference, _EXACT))
    return checks


def agreement(values: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Largest difference, and PSNR in dB of values in [0, 1]; infinite if they are equal."""
    error = values.astype(np.float64) - truth
    with np.errstate(divide="ignore"):
        return float(np.abs(error).max()), float(-10 * np.log10(np.mean(error**2)))


def _round(
    subject: Subject,
    shape: tuple[int, ...],
    chunks: dict[str, int],
    timed: int | None,
    voxels: np.ndarray,
    alone: bool = True,
) -> dict[str, Run]:
    """Everything once; alone in processes of their own, as their memory must be.

    Args:
        subject: what to reconstruct.
        shape: output voxels (x, y, z).
        chunks: points at once of the evaluations by chunks, by name.
        timed: points of these that tell the time of all; None for all.
        voxels: flat indices of the values to give.
        alone: whether every run has a process of its own.
    """
    run = in_new_process if alone else (lambda function, *arguments: function(*arguments))
    runs = {}
    for name, chunk in chunks.items():
        count = None if timed is None else -(-timed // chunk)
        runs[name] = run(reconstruct_by_chunks, subject, name != POINTS, shape, chunk, count, voxels)
    for name, backend in BACKENDS.items():
        if backend.unavailable(DEVICE) is None:
            runs[name] = run(reconstruct, subject, name, shape, _MEMORY_GB, voxels)
    return runs


def _rows(rounds: list[dict[str, Run]], total: int) -> list[dict[str, Any]]:
    rows = []
    for name in rounds[0]:
        runs = [one[name] for one in rounds]
        seconds = [run["seconds"] for run in runs]
        difference, psnr = agreement(runs[0]["values"], rounds[0][STRAIGHTFORWARD]["values"])
        rows.append(
            {
                "method": name,
                "seconds": min(seconds),
                "seconds_of_rounds": seconds,
                "speedup_ratio": min(one[STRAIGHTFORWARD]["seconds"] for one in rounds) / min(seconds),
                "extra_memory_mb": max(run["extra_memory_mb"] for run in runs),
                "process_peak_mb": max(run["process_peak_mb"] for run in runs),
                "largest_difference": difference,
                "psnr_db": psnr,
                "points_timed": runs[0].get("points_timed", total),
                "embedding_seconds": runs[0].get("embedding_seconds"),
            }
        )
    return rows


def _columns() -> list[Column]:
    return [
        Column("method", "method"),
        Column("time", "seconds", seconds_text),
        Column("times faster", "speedup_ratio", "{:.1f}".format),
        Column("extra memory", "extra_memory_mb", mb_text),
        Column("largest difference", "largest_difference", "{:.1e}".format),
        Column("PSNR", "psnr_db", "{:.0f} dB".format),
    ]


def _note(used: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    sampled = [row for row in rows if row["points_timed"] < np.prod(used["output_shape"])]
    text = (
        f"{used['output_shape'][0]}³ from {used['views']} views of {used['detector_shape'][0]}²; extra memory is the "
        "peak beyond weights and projections; differences and PSNR are from the straightforward result at "
        f"{used['voxels_compared']:,} voxels. The straightforward evaluation takes chunks of "
        f"{used['chunks'][STRAIGHTFORWARD]:,} points; the size that is fastest here is {used['chunks'][BEST]:,}."
    )
    if sampled:
        names = " and ".join(f"'{row['method']}'" for row in sampled)
        points = sampled[0]["points_timed"]
        text += f" Of {names} the encoder and the 3D part ran fully and {points:,} points stand for all."
    return text


def _some(total: int) -> np.ndarray:
    return np.sort(np.random.default_rng(0).choice(total, min(_COMPARED, total), replace=False))

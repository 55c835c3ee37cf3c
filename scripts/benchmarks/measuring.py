"""Seconds and memory of a piece of work."""

from __future__ import annotations

import ctypes
import math
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch

__all__ = ["DEVICE", "LONG_S", "Cost", "clock", "fastest", "in_new_process", "measure", "peak_memory_mb", "status_mb"]

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
_IMPORTED = ["monai.bundle", "monai.engines", "bundle.inferer", "bundle.metrics"]
LONG_S = 20.0
"""A case that takes longer runs once: compiling no longer matters, and time does."""


class Cost(NamedTuple):
    """What a run took.

    Args:
        seconds: its time.
        extra_memory_mb: the most memory in use meanwhile beyond that in use before, in units of 2^20 bytes; the
            process's own, or CUDA's where that is used. NaN where the system does not tell.
    """

    seconds: float
    extra_memory_mb: float


def fastest(cases: dict[str, Callable[[], object]], repeats: int) -> dict[str, Cost]:
    """The least of some runs of each case, cases taking turns.

    The first run of each warms it up, and counts only where it takes so long that compiling does not matter.
    """
    best = {name: measure(case) for name, case in cases.items()}
    short = {name: case for name, case in cases.items() if best[name].seconds < LONG_S}
    best.update(dict.fromkeys(short, Cost(math.inf, math.inf)))
    for _ in range(repeats):
        for name, case in short.items():
            best[name] = Cost(*map(min, best[name], measure(case)))
    return best


def measure(case: Callable[[], object]) -> Cost:
    """Runs a case once."""
    before = reset_memory_mb()
    start = clock()
    case()
    return Cost(clock() - start, max(peak_memory_mb() - before, 0.0))


def clock() -> float:
    """Seconds, when all that was asked of the GPU is done."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def reset_memory_mb() -> float:
    """Starts a new peak; gives the memory in use now."""
    if DEVICE.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated() / 2**20
    with suppress(OSError, AttributeError):  # what was freed would hide what the case needs
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return math.nan
    return status_mb("VmRSS")


def peak_memory_mb() -> float:
    """Largest memory in use since the reset."""
    return torch.cuda.max_memory_allocated() / 2**20 if DEVICE.type == "cuda" else status_mb("VmHWM")


def status_mb(entry: str) -> float:
    """A figure of this process's status, such as VmRSS; NaN where the system does not tell."""
    path = Path("/proc/self/status")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((float(line.split()[1]) / 1024 for line in lines if line.startswith(entry)), math.nan)


def in_new_process(run: Callable[..., Any], *arguments: Any) -> Any:
    """What run(*arguments) gives in a process of its own, whose memory nothing else has grown."""
    with ProcessPoolExecutor(1, _context()) as processes:
        return processes.submit(_with_threads, torch.get_num_threads(), run, arguments).result()


def _context() -> multiprocessing.context.BaseContext:
    """Processes that start from nothing; without CUDA, which no fork survives, from nothing but imported packages."""
    if DEVICE.type == "cuda" or "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    return context


def _with_threads(threads: int, run: Callable[..., Any], arguments: tuple) -> Any:
    torch.set_num_threads(threads)
    return run(*arguments)

"""Single reconstructions of a volume, each meant for a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from bundle.inferer import VolumeInferer
from bundle.networks import DiCE
from scripts.benchmarks.measuring import DEVICE, clock, peak_memory_mb, reset_memory_mb, status_mb
from scripts.benchmarks.straightforward import Straightforward, centres
from scripts.benchmarks.subject import Subject

__all__ = ["chunk_seconds", "reconstruct", "reconstruct_by_chunks"]

_WARM_UP = 64  # rows and columns of the views that the first, untimed run sees


@torch.no_grad()
def reconstruct(
    subject: Subject, backend: str, shape: Sequence[int], memory_gb: float, voxels: np.ndarray | None
) -> dict[str, Any]:
    """A whole volume by the package's inferer.

    Args:
        subject: what to reconstruct.
        backend: the inferer's backend.
        shape: output voxels (x, y, z).
        memory_gb: the inferer's bound.
        voxels: flat indices of the values to give; None for none.

    Returns:
        "seconds", "extra_memory_mb" beyond weights and projections, "process_peak_mb", "backend", and "values" [n].
    """
    network, projections, matrices = subject.network(), subject.projections(), subject.matrices()
    VolumeInferer([16, 16, 16], backend=backend)(projections[..., :_WARM_UP, :_WARM_UP], network, matrices)
    inferer = VolumeInferer(list(shape), backend=backend, memory_gb=memory_gb)
    peak = status_mb("VmHWM")
    before, start = reset_memory_mb(), clock()
    volume = inferer(projections, network, matrices)
    result = _cost(start, before, peak)
    return {**result, "values": None if voxels is None else volume.flatten()[torch.from_numpy(voxels)].cpu().numpy()}


@torch.no_grad()
def reconstruct_by_chunks(
    subject: Subject, straightforward: bool, shape: Sequence[int], chunk: int, chunks: int | None, voxels: np.ndarray
) -> dict[str, Any]:
    """The encoder and the 3D part fully, and points in chunks: all, or as many as tell the time of all.

    Args:
        subject: what to reconstruct.
        straightforward: by the straightforward network; else by the package's own, point by point.
        shape: output voxels (x, y, z).
        chunk: points decoded at once.
        chunks: number of contiguous, randomly placed chunks to decode; None decodes all.
        voxels: flat indices of the values to give.

    Returns:
        As :func:`reconstruct`, with "embedding_seconds" and "points_timed"; "seconds" are those of the whole volume.
    """
    network = subject.straightforward() if straightforward else subject.network()
    projections, matrices = subject.projections(), subject.matrices()
    _by_points(network, _embed(network, projections[..., :_WARM_UP, :_WARM_UP], matrices), matrices, shape, range(1000))
    total = int(np.prod(shape))
    starts = _starts(total, chunk, chunks)
    peak = status_mb("VmHWM")
    before, start = reset_memory_mb(), clock()
    out = torch.full((total,), 0.5, device=DEVICE)
    embedded = _embed(network, projections, matrices)
    middle, timed = clock(), 0
    for first in starts:
        points = range(first, min(first + chunk, total))
        out[points.start : points.stop] = _by_points(network, embedded, matrices, shape, points)
        timed += len(points)
    result = _cost(start, before, peak)
    decoding = result["seconds"] - (middle - start)
    result["seconds"] = middle - start + decoding * total / timed
    wanted = torch.from_numpy(voxels).split(chunk)
    with torch.backends.cudnn.flags(allow_tf32=False):  # the values are what the others are compared with
        embedded = _embed(network, projections, matrices) if DEVICE.type == "cuda" else embedded
        result["values"] = torch.cat([_by_points(network, embedded, matrices, shape, w) for w in wanted]).cpu().numpy()
    return {**result, "embedding_seconds": middle - start, "points_timed": timed}


@torch.no_grad()
def chunk_seconds(subject: Subject, shape: Sequence[int], chunks: Sequence[int]) -> dict[int, float]:
    """Seconds that the straightforward network takes for a million points in chunks of each of the sizes."""
    network, projections, matrices = subject.straightforward(), subject.projections(), subject.matrices()
    embedded = _embed(network, projections, matrices)
    seconds = {}
    for chunk in chunks:
        first = (int(np.prod(shape)) - chunk) // 2
        repeats = max(1, max(chunks) // (2 * chunk))
        start = clock()
        for _ in range(repeats):
            _by_points(network, embedded, matrices, shape, range(first, first + chunk))
        seconds[chunk] = (clock() - start) * 1e6 / (repeats * chunk)
    return seconds


def _embed(
    network: Straightforward | DiCE, projections: torch.Tensor, matrices: torch.Tensor
) -> tuple[list[torch.Tensor], torch.Tensor]:
    maps = network.encode(projections)
    embedded = network.embed(maps, matrices, None)
    return maps, embedded["volume"] if isinstance(embedded, dict) else embedded.volume


def _by_points(
    network: Straightforward | DiCE,
    embedded: tuple[list[torch.Tensor], torch.Tensor],
    matrices: torch.Tensor,
    shape: Sequence[int],
    flat: range | torch.Tensor,
) -> torch.Tensor:
    """Values of voxels, clipped as the inferer does."""
    index = torch.arange(flat.start, flat.stop, device=DEVICE) if isinstance(flat, range) else flat.to(DEVICE)
    return network.decode(*embedded, matrices, centres(shape, index), None).flatten().clamp_(0.0, 1.0)


def _starts(total: int, chunk: int, chunks: int | None) -> list[int]:
    every = range(0, total, chunk)
    if chunks is None or chunks >= len(every):
        return list(every)
    rng = np.random.default_rng(0)
    return [int(first) for first in rng.integers(0, total - chunk, chunks)]


def _cost(start: float, before: float, earlier_peak: float) -> dict[str, float]:
    """What was spent since the start, at which before was in use."""
    seconds = clock() - start
    return {
        "seconds": seconds,
        "extra_memory_mb": peak_memory_mb() - before,
        "process_peak_mb": max(earlier_peak, status_mb("VmHWM")),
    }

"""Grid decoding on a CPU: sampling in loops compiled by Numba, matrix products by PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import torch

from bundle.networks.grid_decoding import GridTask, decode_rows, plane_sums
from bundle.threads import in_threads

__all__ = ["prepare", "unavailable"]

_POINTS_PER_PRODUCT = 8192  # what a product reads and writes then stays in the cores' caches
_STEPS_PER_SAMPLE = 30


def unavailable(device: torch.device) -> str | None:
    """Why it cannot run on a device, or None."""
    if device.type != "cpu":
        return "it runs on the CPU alone"
    return None if find_spec("numba") else "numba is not installed"


def prepare(
    task: GridTask, points_at_once: int, decode_rows: Callable[..., torch.Tensor] = decode_rows
) -> Callable[[int, int, torch.Tensor], None]:
    """Makes the function that decodes planes first to last into out [last - first, Y, Z].

    Args:
        task: the grid.
        points_at_once: bounds the memory.
        decode_rows: what decodes the sampled rows, with the arguments of bundle.networks.grid_decoding.decode_rows.
    """
    from bundle.inferer.numba_kernels import sample_rows

    maps = tuple(scale.permute(0, 3, 2, 1).contiguous().numpy() for scale in task.maps)
    matrices = task.matrices.double().numpy()
    xs, ys, zs = (axis.double().numpy() for axis in task.axes)
    channels = sum(scale.shape[1] for scale in task.maps)
    rows_at_once = max(1, min(points_at_once // len(zs), len(ys)))
    rows_per_product = max(1, min(_POINTS_PER_PRODUCT // len(zs), rows_at_once))
    samples = torch.empty(rows_at_once * len(zs), channels)
    steps = rows_at_once * len(zs) * len(matrices) * _STEPS_PER_SAMPLE

    def decode(first: int, last: int, out: torch.Tensor) -> None:
        for x, plane, values in zip(range(first, last), plane_sums(task, first, last), out):
            for begin in range(0, len(ys), rows_at_once):
                end = min(begin + rows_at_once, len(ys))
                arguments = (maps, matrices, xs[x], ys[begin:end], zs, task.corner_aligned, samples.numpy())
                in_threads(sample_rows, end - begin, steps, *arguments)
                for row in range(begin, end, rows_per_product):
                    stop = min(row + rows_per_product, end)
                    points = samples[(row - begin) * len(zs) : (stop - begin) * len(zs)]
                    values[row:stop] = decode_rows(task, plane, points.t(), row, stop)

    return decode

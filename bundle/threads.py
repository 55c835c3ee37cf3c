"""Threads for compiled kernels that release the interpreter's lock."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import torch

__all__ = ["in_threads"]

_PIECES_PER_THREAD = 8  # pieces differ in work; many small ones keep all threads busy to the end
_WORTH_THREADS = 3e6  # elementary steps, a few ms; handing work over takes about as long


def in_threads(kernel: Callable, count: int, steps: float, *arguments: Any) -> None:
    """Runs kernel(*arguments, first, last) over pieces of range(count), in as many threads as PyTorch uses.

    Args:
        kernel: what to run; releases the interpreter's lock.
        count: number of units of work.
        steps: elementary steps of the whole, of some nanoseconds each; little work stays in this thread.
        arguments: the kernel's first arguments.
    """
    threads = torch.get_num_threads()
    if threads == 1 or steps < _WORTH_THREADS:
        kernel(*arguments, 0, count)
        return
    bounds = np.linspace(0, count, min(count, threads * _PIECES_PER_THREAD) + 1).astype(int).tolist()
    pieces = pairwise(bounds)

    def work() -> None:
        for first, last in pieces:
            kernel(*arguments, first, last)

    others = [_pool(os.getpid(), threads).submit(work) for _ in range(threads - 1)]
    work()
    for other in others:
        other.result()


@functools.lru_cache(maxsize=1)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """The process's threads; a forked process, such as a data loader's worker, has none of its parent's."""
    return ThreadPoolExecutor(threads)

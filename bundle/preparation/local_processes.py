"""Preparing cases in processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bundle.errors import InputError
from bundle.preparation.executors import WorkerDiedError
from bundle.preparation.worker_process import start_worker

__all__ = ["LocalProcesses", "default_workers"]

_MEMORY_PER_CASE = 3 * 2**30  # bytes; the largest CTs need about that much while they are read and resampled


class LocalProcesses:
    """Worker processes, each in a pool of its own, so that the death of one concerns no case but its own.

    Args:
        workers: number of processes.

    Raises:
        InputError: when there are none.
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise InputError("workers", f"is {workers}.", "Give 1 or more.")
        self.capacity = workers
        self._threads = max(1, len(os.sched_getaffinity(0)) // workers)
        self._context = multiprocessing.get_context("spawn")
        self._alive, self._parent_end = self._context.Pipe(duplex=False)
        self._idle: list[ProcessPoolExecutor] = []
        self._busy: dict[Future, ProcessPoolExecutor] = {}

    def submit(self, function: Callable, *arguments: Any) -> Future:
        """Runs a function in an idle process."""
        for future in [future for future in self._busy if future.done()]:
            self._idle.append(self._busy.pop(future))
        while self._idle:
            pool = self._idle.pop()
            try:
                future = pool.submit(function, *arguments)
            except BrokenProcessPool:
                pool.shutdown()
                continue
            self._busy[future] = pool
            return future
        pool = ProcessPoolExecutor(1, self._context, initializer=start_worker, initargs=(self._alive, self._threads))
        future = pool.submit(function, *arguments)
        self._busy[future] = pool
        return future

    def result(self, future: Future) -> Any:
        """What a finished task returned; see :class:`bundle.preparation.executors.Executor`."""
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise WorkerDiedError from error

    def check(self) -> None:
        """Processes of this machine can always be started."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._parent_end.close()  # ends all workers at once
        for pool in (*self._idle, *self._busy.values()):
            pool.shutdown(cancel_futures=error is not None)
        self._parent_end.close()
        self._alive.close()


def default_workers() -> int:
    """One worker a processor, or fewer where memory would not do for that many large cases."""
    processors = len(os.sched_getaffinity(0))
    memory = Path("/proc/meminfo")
    if not memory.is_file():
        return processors
    fields = dict(line.split(":", 1) for line in memory.read_text().splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024
    return max(1, min(processors, available // _MEMORY_PER_CASE))

"""Preparing cases in processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

from bundle.errors import InputError
from bundle.preparation.executors import WorkerDiedError
from bundle.preparation.worker_process import start_worker

__all__ = ["LocalProcesses", "available_memory", "default_workers"]

_MEMORY_PER_CASE = 4 * 2**30  # bytes; the largest CTs need about that much while they are read and resampled


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
        self._threads = max(1, _processors() // workers)
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
    processors, memory = _processors(), available_memory()
    return processors if memory is None else max(1, min(processors, memory // _MEMORY_PER_CASE))


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes that this process and its children may use, as far as it is told: free ones, within the cgroup's limit.

    Args:
        root: where the system's files are.
    """
    known = [*_cgroup_limits(root)]
    memory = root / "proc" / "meminfo"
    if memory.is_file():
        fields = dict(line.split(":", 1) for line in memory.read_text().splitlines())
        known.append(int(fields["MemAvailable"].split()[0]) * 1024)
    return min(known, default=None)


def _cgroup_limits(root: Path) -> Iterator[int]:
    """Memory limits of this process's cgroup and of those around it, of either version."""
    listed = root / "proc" / "self" / "cgroup"
    for line in listed.read_text().splitlines() if listed.is_file() else ():
        _, controllers, group = line.split(":", 2)
        if not controllers:
            top, name = root / "sys" / "fs" / "cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            top, name = root / "sys" / "fs" / "cgroup" / "memory", "memory.limit_in_bytes"
        else:
            continue
        inside = PurePosixPath(group.lstrip("/"))  # in a container some of it may not be there to be seen
        for file in (top / folder / name for folder in (inside, *inside.parents)):
            limit = file.read_text().strip() if file.is_file() else "max"
            if limit != "max":
                yield int(limit)


def _processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""Preparing cases on an existing Dask cluster."""

from __future__ import annotations

import pkgutil
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bundle import __version__
from bundle.errors import InputError
from bundle.optional import require
from bundle.preparation.executors import WorkerDiedError
from bundle.preparation.worker_process import spare_process

__all__ = ["DaskCluster"]

_CONNECT_S = 10.0
_CHECK_EVERY_S = 5.0
_WITHOUT_WORKERS_S = 60.0  # supervised workers are back within seconds after they died
_IN_FLIGHT_PER_THREAD = 2
_SETTLED_S = 2.0
_LOADED_AT = time.monotonic()  # on a worker: as its first task arrives


class DaskCluster:
    """The workers of a Dask cluster that runs already.

    All workers need this bundle, importable and of the same version, and the source and output folders under the same
    paths.

    Args:
        address: address of the scheduler, such as tcp://10.0.0.1:8786.
        folders: folders that every worker has to see.

    Raises:
        ImportError: when the package distributed is missing.
        InputError: when the scheduler cannot be reached, has no workers, or has workers that cannot do the work.
    """

    def __init__(self, address: str, folders: tuple[Path, ...]) -> None:
        self._distributed = require("distributed", "distributed", "preparing on a Dask cluster")
        self._name = f"scheduler {address}"
        try:
            self._client = self._distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError(
                self._name, f"cannot be reached ({error}).", "Start one with: dask scheduler; and give its address."
            ) from error
        try:
            self._refuse_unfit_workers(folders)
            self.capacity = _IN_FLIGHT_PER_THREAD * sum(self._client.nthreads().values())
        except BaseException:
            self._client.close()
            raise
        self._executor = self._client.get_executor(pure=False)
        self._checked_at = self._worked_at = time.monotonic()

    def submit(self, function: Callable, *arguments: Any) -> Future:
        """Runs a function on one of the workers."""
        return self._executor.submit(_run_spared, function, *arguments)

    def result(self, future: Future) -> Any:
        """What a finished task returned; see :class:`bundle.preparation.executors.Executor`."""
        try:
            return future.result()
        except self._distributed.KilledWorker as error:
            raise WorkerDiedError from error
        except CancelledError as error:
            raise self._lost() from error

    def check(self) -> None:
        """Looks every few seconds whether scheduler and workers are there; see Executor."""
        now = time.monotonic()
        if now - self._checked_at < _CHECK_EVERY_S:
            return
        self._checked_at = now
        if self._client.status not in ("running", "connecting"):
            raise self._lost()
        try:
            threads = sum(self._client.nthreads().values())
        except (OSError, ValueError) as error:
            raise self._lost() from error
        if threads:
            self._worked_at = now
            self.capacity = _IN_FLIGHT_PER_THREAD * threads
        elif now - self._worked_at > _WITHOUT_WORKERS_S:
            raise InputError(self._name, "has no workers left.", "Start some and repeat; finished cases stay.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown(wait=False)
        self._client.close()

    def _lost(self) -> InputError:
        return InputError(self._name, "is gone.", "Start it and repeat; finished cases stay.")

    def _refuse_unfit_workers(self, folders: tuple[Path, ...]) -> None:
        try:
            self._client.wait_for_workers(1, timeout=_CONNECT_S)
        except TimeoutError as error:
            address = self._client.scheduler.address
            raise InputError(
                self._name, "has no workers.", f"Start some in the bundle's folder with: dask worker {address}"
            ) from error
        # A function of the standard library, since workers without the bundle could not even receive one of its own.
        versions = self._client.run(pkgutil.resolve_name, "bundle:__version__", on_error="return")
        for worker, version in versions.items():
            if isinstance(version, Exception):
                raise InputError(
                    f"worker {worker}",
                    f"cannot import this bundle ({version}).",
                    "Start workers in the bundle's folder, or install it in their environment.",
                )
            if version != __version__:
                raise InputError(
                    f"worker {worker}",
                    f"has version {version} of this bundle, not {__version__}.",
                    "Install the same version everywhere, and start the workers anew.",
                )
        for worker, unseen in self._client.run(_unseen, [str(folder) for folder in folders]).items():
            if unseen:
                raise InputError(
                    f"worker {worker}", f"does not see {unseen}.", "Use folders that all machines share under one path."
                )


def _run_spared(function: Callable, *arguments: Any) -> Any:
    """Runs a function on a worker, in one thread, as the cluster's workers are as many as are meant to run.

    A worker's first task waits a little: one that dies before its supervisor has heard of its start is given up.
    """
    spare_process(1)
    time.sleep(max(0.0, _LOADED_AT + _SETTLED_S - time.monotonic()))
    return function(*arguments)


def _unseen(folders: list[str]) -> str | None:
    """The first folder that is not there."""
    return next((folder for folder in folders if not Path(folder).is_dir()), None)

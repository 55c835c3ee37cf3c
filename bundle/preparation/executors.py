"""Where cases are prepared: in processes of this machine or on a Dask cluster, behind one interface."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Protocol, Self

__all__ = ["Executor", "WorkerDiedError"]


class WorkerDiedError(Exception):
    """The process that worked on a task is gone."""


class Executor(Protocol):
    """Runs functions elsewhere; a context that stops what still runs when it is left by an exception."""

    capacity: int
    """Number of tasks to have under way."""

    def submit(self, function: Callable, *arguments: Any) -> Future:
        """Starts a task; no more than the capacity at a time."""

    def result(self, future: Future) -> Any:
        """What a finished task returned.

        Raises:
            WorkerDiedError: when its process died.
            InputError: when nothing can be run any more.
        """

    def check(self) -> None:
        """Looks whether tasks can still be run; called often.

        Raises:
            InputError: when they cannot.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

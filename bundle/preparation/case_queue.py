"""Working through many cases, whatever becomes of single ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from bundle.errors import InputError
from bundle.preparation.executors import Executor, WorkerDiedError
from bundle.preparation.job import BUSY, Job, Outcome, failed, remove_unfinished, run_case

__all__ = ["DIED", "DISK_FULL", "work_through"]

DIED = "its worker process died, probably for lack of memory. Use fewer workers or a machine with more memory."
DISK_FULL = "was not tried: the disk is full. Free some space and repeat."
_LOOK_EVERY_S = 2.0


def work_through(job: Job, cases: Iterable[Any], executor: Executor, tell: Callable[[Outcome], None]) -> None:
    """Prepares cases, a bounded number at a time.

    Cases that another run is working on come last, and are waited for. Cases whose worker died are tried once more,
    one at a time, with nothing else running. A full disk or a lost cluster stops the start of further cases.

    Args:
        job: what all cases share.
        cases: RawCases.
        executor: where they are prepared.
        tell: called with the one outcome of each case.
    """
    suspects: list[Any] = []
    stopped = _drain(job, cases, executor, tell, suspects.append, alone=False, stopped="")

    def died_again(case: Any) -> None:
        remove_unfinished(job, case.name)
        tell(failed(case.name, DIED))

    _drain(job, suspects, executor, tell, died_again, alone=True, stopped=stopped)


def _drain(
    job: Job,
    cases: Iterable[Any],
    executor: Executor,
    tell: Callable[[Outcome], None],
    died: Callable[[Any], None],
    alone: bool,
    stopped: str,
) -> str:
    """Runs cases until none is left; returns why further ones must not be started, or nothing."""
    queue = deque((case, False) for case in cases)
    running: dict[Future, Any] = {}
    try:
        while (queue and not stopped) or running:
            while queue and not stopped and len(running) < (1 if alone else executor.capacity):
                case, waits = queue.popleft()
                running[executor.submit(run_case, job, case, waits)] = case
            for future in wait(running, _LOOK_EVERY_S, FIRST_COMPLETED).done:
                case = running[future]
                outcome = _outcome(executor, future, case)
                del running[future]
                if outcome is None:
                    died(case)
                elif outcome.status == BUSY:
                    queue.append((case, True))
                else:
                    tell(outcome)
                    stopped = stopped or (DISK_FULL if outcome.disk_full else "")
            executor.check()
    except InputError as error:
        stopped = f"was not finished: {error}"
        queue.extend((case, False) for case in running.values())
    for case, _ in queue:
        tell(failed(case.name, stopped))
    return stopped


def _outcome(executor: Executor, future: Future, case: Any) -> Outcome | None:
    """The outcome of a task; none if its worker died."""
    try:
        return executor.result(future)
    except WorkerDiedError:
        return None
    except InputError:
        raise
    except Exception as error:  # such as a worker that cannot load the work
        return failed(case.name, error)

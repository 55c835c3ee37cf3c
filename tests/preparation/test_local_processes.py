from __future__ import annotations

import os
import time

import pytest

from bundle.errors import InputError
from bundle.preparation.executors import WorkerDiedError
from bundle.preparation.local_processes import LocalProcesses, default_workers


def die() -> None:
    os._exit(3)


def threads() -> tuple[int, int]:
    import torch

    return torch.get_num_threads(), int(os.environ["NUMBA_NUM_THREADS"])


def test_results_errors_and_deaths_are_told_apart():
    with LocalProcesses(2) as executor:
        first, other = executor.submit(os.getpid), executor.submit(die)
        pid = executor.result(first)
        with pytest.raises(WorkerDiedError):
            executor.result(other)
        assert executor.result(executor.submit(os.getpid)) == pid  # the living process is used again
        with pytest.raises(ValueError, match="invalid literal"):
            executor.result(executor.submit(int, "x"))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_threads_are_shared_out():
    share = max(1, len(os.sched_getaffinity(0)) // 2)
    with LocalProcesses(2) as executor:
        assert executor.result(executor.submit(threads)) == (share, share)


def test_an_error_ends_running_work():
    started = time.monotonic()
    with pytest.raises(KeyError), LocalProcesses(1) as executor:  # noqa: PT012 - the work has to have started
        executor.result(executor.submit(os.getpid))
        executor.submit(time.sleep, 60)
        raise KeyError
    assert time.monotonic() - started < 20


def test_number_of_workers():
    assert 1 <= default_workers() <= len(os.sched_getaffinity(0))
    with pytest.raises(InputError, match="workers: is 0"):
        LocalProcesses(0)

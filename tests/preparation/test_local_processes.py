from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from bundle.errors import InputError
from bundle.preparation.executors import WorkerDiedError
from bundle.preparation.local_processes import LocalProcesses, available_memory, default_workers


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


def system(root: Path, files: dict[str, str]) -> Path:
    """The files of a system where 8 GiB are free."""
    for name, text in {"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:    8388608 kB\n", **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "gib"),
    [
        ({}, 8),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{3 * 2**30}\n"}, 3),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{30 * 2**30}\n"}, 8),
        (
            {
                "proc/self/cgroup": "0::/job/step\n",
                "sys/fs/cgroup/job/memory.max": f"{2 * 2**30}\n",
                "sys/fs/cgroup/job/step/memory.max": "max\n",
            },
            2,
        ),
        (
            {
                "proc/self/cgroup": "7:cpu,memory:/docker/f00\n3:pids:/\n1:name=systemd:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{5 * 2**30}\n",
            },
            5,
        ),
        ({"proc/self/cgroup": "7:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"}, 8),
    ],
)
def test_memory_within_the_limits_of_containers(tmp_path, files, gib):
    assert available_memory(system(tmp_path, files)) == gib * 2**30


def test_a_system_that_tells_nothing_of_its_memory(tmp_path):
    assert available_memory(tmp_path) is None


def test_number_of_workers():
    assert 1 <= default_workers() <= len(os.sched_getaffinity(0))
    with pytest.raises(InputError, match="workers: is 0"):
        LocalProcesses(0)

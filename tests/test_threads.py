from __future__ import annotations

import threading

import pytest
import torch

from bundle.threads import in_threads


@pytest.mark.parametrize("count", [1, 3, 16, 1000])
@pytest.mark.parametrize("steps", [0, 1e9])
def test_every_unit_is_done_once(count, steps):
    done, lock = [], threading.Lock()

    def kernel(label, first, last):
        with lock:
            done.extend((label, i) for i in range(first, last))

    in_threads(kernel, count, steps, "a")
    assert sorted(done) == [("a", i) for i in range(count)]


def test_little_work_stays_in_this_thread():
    seen = []
    in_threads(lambda first, last: seen.append(threading.get_ident()), 8, 0)
    assert seen == [threading.get_ident()]


def test_errors_of_other_threads_come_out():
    if torch.get_num_threads() == 1:
        pytest.skip("PyTorch uses one thread here")
    here, failed = threading.get_ident(), threading.Event()

    def kernel(first, last):
        if threading.get_ident() != here:
            failed.set()
            raise RuntimeError("broken")
        failed.wait(10)

    with pytest.raises(RuntimeError, match="broken"):
        in_threads(kernel, 64, 1e9)

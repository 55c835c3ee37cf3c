"""What a worker process does before its first case."""

from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection, wait
from typing import Any

__all__ = ["spare_process", "start_worker"]

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)


def start_worker(parent: Connection, threads: int) -> None:
    """Ties a worker process to its parent and limits its threads.

    The worker ends at once when the parent closes its end of the pipe or dies, of whatever cause, so that no killed
    run goes on preparing. Interrupts from the keyboard are the parent's business.

    Args:
        parent: the reading end of a pipe whose writing end only the parent has.
        threads: threads that this worker's libraries may use.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    spare_process(threads)


def spare_process(threads: int) -> None:
    """Keeps the libraries of this process from using more threads and memory than a case needs; may be repeated.

    Args:
        threads: threads that they may use.
    """
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))  # for libraries that are imported later
    if "itk" not in sys.modules:
        _spare_itk()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    if "numba" in sys.modules:  # which takes no other number from its variable once it runs
        numba = sys.modules["numba"]
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    else:
        os.environ["NUMBA_NUM_THREADS"] = str(threads)


def _spare_itk() -> None:
    """Keeps ITK from loading every format's module, and all of RTK with them, when it is asked for one.

    That takes twenty seconds and a gigabyte; what reads raw cases names its format.
    """
    if importlib.util.find_spec("itkConfig") is not None:
        settings: Any = importlib.import_module("itkConfig")
        settings.DefaultFactoryLoading = False


def _end_with(parent: Connection) -> None:
    wait([parent])
    os._exit(1)

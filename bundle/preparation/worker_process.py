"""What a worker process does before its first case."""

from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection, wait

__all__ = ["start_worker"]

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
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
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))  # for libraries that are imported later
    _spare_itk()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    if "numba" in sys.modules:
        sys.modules["numba"].set_num_threads(threads)


def _spare_itk() -> None:
    """Keeps ITK from loading every format's module, and all of RTK with them, when it is asked for one.

    That takes twenty seconds and a gigabyte; what reads raw cases names its format.
    """
    if importlib.util.find_spec("itkConfig") is not None:
        importlib.import_module("itkConfig").DefaultFactoryLoading = False


def _end_with(parent: Connection) -> None:
    wait([parent])
    os._exit(1)

"""Runs one command in a child process with bounds on memory and time, and tells what became of it."""

from __future__ import annotations

import contextlib
import importlib
import os
import runpy
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bundle.errors import install_command_line_hook

__all__ = ["MOST_GB", "MOST_SECONDS", "Outcome", "run_command", "warm_up"]

MOST_GB, MOST_SECONDS = 6.0, 60.0
_PAGE = os.sysconf("SC_PAGE_SIZE")
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Outcome:
    """What became of a command.

    Args:
        verdict: "accepted", "refused" (one message, status 1), or how it failed: "traceback", "message" (a status
            without one message at the beginning of a line), "hang", "memory", "crash".
        status: exit status; negative for a signal.
        output: what it printed, standard output and errors together.
        gigabytes: memory that the process and its children held at most, beyond what they had at the start.
        seconds: that it took.
    """

    verdict: str
    status: int
    output: str
    gigabytes: float
    seconds: float

    @property
    def messages(self) -> list[str]:
        """The messages to the user."""
        return [line for line in self.output.splitlines() if line.startswith("error: ")]


def warm_up() -> None:
    """Imports what commands need, once, so that each child starts with it."""
    os.environ["ITK_GLOBAL_DEFAULT_THREADER"] = (
        "Platform"  # a pool's threads would be missing in copies of this process
    )
    import torch

    torch.set_num_threads(1)
    late = ("ignite.engine", "pydicom", "skimage.measure", "yaml", "fire", "scipy.ndimage", "filelock")
    own = [f"bundle.{name}" for name in ("__main__", "data", "engines", "handlers", "networks", "rtk")]
    for name in ("monai.bundle", *own, *late):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    with contextlib.suppress(ImportError), tempfile.TemporaryDirectory() as folder:
        itk = importlib.import_module("itk")  # loads its parts when they are used first
        image = itk.image_from_array(np.zeros((2, 2, 2), np.float32))
        for name in ("a.mha", "a.nrrd"):
            itk.imwrite(image, f"{folder}/{name}")
            itk.imread(f"{folder}/{name}")
    sys.modules.pop("bundle.__main__")  # each child runs it anew


def run_command(
    words: Sequence[str], folder: Path, most_gb: float = MOST_GB, most_seconds: float = MOST_SECONDS
) -> Outcome:
    """Runs ``python -m WORDS`` in a folder, in a copy of this process.

    Args:
        words: module and arguments, as ("bundle", "inspect", "FOLDER").
        folder: working folder.
        most_gb: memory that it may hold.
        most_seconds: time that it may take.
    """
    log = folder / ".output"
    sys.stdout.flush()
    sys.stderr.flush()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        _become(words, folder, log)
    start = peak = _resident_gb(child)
    stopped = ""
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        peak = max(peak, _resident_gb(child))
        seconds = time.monotonic() - began
        stopped = "memory" if peak - start > most_gb else "hang" if seconds > most_seconds else ""
        if stopped:
            os.killpg(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            break
        time.sleep(_POLL_SECONDS)
    with contextlib.suppress(ProcessLookupError):  # what it left behind
        os.killpg(child, signal.SIGKILL)
    output = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    code = os.waitstatus_to_exitcode(status)
    return Outcome(stopped or _verdict(code, output), code, output, peak - start, time.monotonic() - began)


def _become(words: Sequence[str], folder: Path, log: Path) -> None:
    """Runs the module as Python would, and ends this process with its status."""
    status = 1
    try:
        os.setsid()
        os.chdir(folder)
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(target, 1)
        os.dup2(target, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout, sys.stderr = (os.fdopen(n, "w", buffering=1, closefd=False) for n in (1, 2))
        sys.argv = list(words)
        if words[0].startswith("monai"):
            install_command_line_hook()  # as the import of the package does in such a process
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException as error:
        if sys.excepthook is sys.__excepthook__:
            traceback.print_exc()
        else:  # the package's own
            sys.excepthook(type(error), error, error.__traceback__)
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _verdict(status: int, output: str) -> str:
    if status == 0:
        return "accepted"
    if status < 0:
        return "crash"
    lines = output.splitlines()
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        return "traceback"
    return "refused" if sum(line.startswith("error: ") for line in lines) == 1 else "message"


def _resident_gb(process: int) -> float:
    """Resident memory of a process and of those that it started."""
    return sum(_pages(member) for member in _family(process)) * _PAGE / 1e9


def _family(process: int) -> Iterator[int]:
    yield process
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{process}/task"):
            for child in Path(f"/proc/{process}/task/{task}/children").read_text().split():
                yield from _family(int(child))


def _pages(process: int) -> int:
    """Resident pages that are its own, not shared with the process that it was copied from."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        _, resident, shared, *_ = Path(f"/proc/{process}/statm").read_text().split()
        return int(resident) - int(shared)
    return 0

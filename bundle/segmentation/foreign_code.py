"""Running code that lies in a folder of its own, without a trace of it afterwards."""

from __future__ import annotations

import logging
import random
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

__all__ = ["contained"]


@contextmanager
def contained(folder: Path) -> Iterator[None]:
    """Makes a folder's modules importable for a while.

    Afterwards the import path, the modules, the random states and cuDNN's settings are what they were, so that what
    runs next does not depend on it. Modules of the same names from elsewhere are set aside meanwhile.

    Args:
        folder: root of the code.
    """
    own = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    own.discard(__name__.split(".")[0])
    path, aside = list(sys.path), _take_modules(own)
    states = random.getstate(), np.random.get_state()
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    log = logging.getLogger("monai.bundle.workflows")  # warns that the bundle's own logging is left alone
    level = log.level
    try:
        log.setLevel(logging.ERROR)
        sys.path.insert(0, str(folder))
        with torch.random.fork_rng(), warnings.catch_warnings():
            yield
    finally:
        log.setLevel(level)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
        random.setstate(states[0])
        np.random.set_state(states[1])
        sys.path[:] = path
        _take_modules(own)
        sys.modules.update(aside)


def _take_modules(names: set[str]) -> dict:
    """Removes modules from the imported ones by the names of their packages, and returns them."""
    found = [name for name in sys.modules if name.split(".")[0] in names]
    return {name: sys.modules.pop(name) for name in found}

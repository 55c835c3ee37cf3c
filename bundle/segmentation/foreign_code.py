"""Running code that lies in a folder of its own, without a trace of it afterwards."""

from __future__ import annotations

import importlib
import logging
import random
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import monai.utils.misc
import numpy as np
import torch

__all__ = ["contained"]


@contextmanager
def contained(folder: Path) -> Iterator[None]:
    """Makes a folder's modules importable for a while.

    Afterwards the import path, the modules, the random states and seeds and cuDNN's settings are what they were, so
    that what runs next does not depend on it. Modules of the same names from elsewhere are set aside meanwhile;
    warnings and log messages are not shown.

    Args:
        folder: root of the code.
    """
    own = {path.stem for path in folder.glob("*.py")}
    own |= {path.relative_to(folder).parts[0] for path in folder.glob("*/**/*.py")}
    own.discard(__name__.split(".")[0])
    path, aside, before = list(sys.path), _take_modules(own), set(sys.modules)
    states = random.getstate(), np.random.get_state(), monai.utils.misc._seed
    settings = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark, sys.dont_write_bytecode
    quiet_before = logging.root.manager.disable
    try:
        logging.disable(logging.CRITICAL)  # MONAI and Ignite log what they raise, through loggers of any name and level
        sys.path.insert(0, str(folder))
        sys.dont_write_bytecode = True
        importlib.invalidate_caches()  # the folder may have changed since the last time
        with torch.random.fork_rng(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(quiet_before)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark, sys.dont_write_bytecode = settings
        random.setstate(states[0])
        np.random.set_state(states[1])
        monai.utils.misc._seed = states[2]
        sys.path[:] = path
        _take_modules(own)
        for name in set(sys.modules) - before:
            if _lies_under(sys.modules[name], folder):
                del sys.modules[name]
        sys.modules.update(aside)


def _take_modules(names: set[str]) -> dict[str, ModuleType]:
    """Removes modules from the imported ones by the names of their packages, and returns them."""
    found = [name for name in sys.modules if name.split(".")[0] in names]
    return {name: sys.modules.pop(name) for name in found}


def _lies_under(module: ModuleType, folder: Path) -> bool:
    """Whether a module, or a part of a package without a file of its own, was read from a folder."""
    places = [getattr(module, "__file__", None), *(getattr(module, "__path__", None) or ())]
    return any(isinstance(place, str) and Path(place).is_relative_to(folder) for place in places)

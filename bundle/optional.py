"""Importing packages that only some tasks need."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

__all__ = ["require", "requiring"]

_INSTALLED_AS = {
    # module: package, where the names differ
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


def require(module: str, package: str, purpose: str) -> ModuleType:
    """Imports a module, or says what to install.

    Args:
        module: module to import.
        package: name to install it by.
        purpose: what needs it.

    Raises:
        ImportError: when it, or a package that it imports itself, is missing or cannot be imported.
    """
    with requiring(package, purpose, module):
        return importlib.import_module(module)


@contextmanager
def requiring(package: str, purpose: str, module: str = "") -> Iterator[None]:
    """Says what to install where a package imports others that are missing.

    Args:
        package: name to install it by.
        purpose: what needs it.
        module: module that is imported, if it has another name.

    Raises:
        ImportError: instead of any that is raised within, naming the missing package.
    """
    try:
        yield
    except ImportError as error:
        name = error.name if isinstance(error, ModuleNotFoundError) else None
        missing = package if name is None else name.split(".")[0]
        install = package if missing == module.split(".")[0] else _INSTALLED_AS.get(missing, missing)
        importer = "" if install == package else f", which {package} imports"
        reason = "" if name is not None else f" (it cannot be imported: {error})"
        raise ImportError(
            f"{purpose} needs the package {install}{importer}{reason}. Install it with: pip install {install}"
        ) from error

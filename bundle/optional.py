"""Importing packages that only some tasks need."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from bundle.errors import INSTALLED_AS, MissingPackageError

__all__ = ["require", "requiring"]


def require(module: str, package: str, purpose: str) -> ModuleType:
    """Imports a module, or says what to install.

    Args:
        module: module to import.
        package: name to install it by.
        purpose: what needs it.

    Raises:
        MissingPackageError: when it, or a package that it imports itself, is missing or cannot be imported.
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
        MissingPackageError: instead of any that is raised within, naming the missing package.
    """
    try:
        yield
    except ImportError as error:
        name = error.name if isinstance(error, ModuleNotFoundError) else None
        missing = package if name is None else name.split(".")[0]
        install = package if missing == module.split(".")[0] else INSTALLED_AS.get(missing, missing)
        importer = "" if install == package else f", which {package} imports"
        reason = "" if name is not None else f" (it cannot be imported: {error})"
        raise MissingPackageError(purpose, install, importer + reason) from error

"""Importing packages that only some tasks need."""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["require"]


def require(module: str, package: str, purpose: str) -> ModuleType:
    """Imports a module, or says what to install.

    Args:
        module: module to import.
        package: name to install it by.
        purpose: what needs it.

    Raises:
        ImportError: when it is missing.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{purpose} needs the package {package}. Install it with: pip install {package}") from error

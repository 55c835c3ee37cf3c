"""Compilation of loops by Numba, imported only where that is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

__all__ = ["compile_kernel"]


def compile_kernel(function: Callable) -> Callable:
    """Compiles at the first call, and keeps the result on disk where there is a place for it.

    Kernels release the interpreter's lock. They may contract and reorder products, but they keep what is not finite:
    a comparison with NaN is what it is in Python.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "arcp"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the kernel's folder nor the user's is writable
        return numba.njit(**options)(function)

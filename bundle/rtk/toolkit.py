"""The optional package itk-rtk."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from bundle.optional import require

__all__ = ["image_type", "itk_and_rtk"]


def itk_and_rtk(purpose: str) -> tuple[ModuleType, Any]:
    """The modules itk and itk.RTK.

    Args:
        purpose: what needs them, for the message.

    Raises:
        ImportError: when itk-rtk is not installed.
    """
    itk = require("itk", "itk-rtk", purpose)
    if not hasattr(itk, "RTK"):  # itk alone, or one of its parts, is installed
        raise ImportError(f"{purpose} needs the package itk-rtk. Install it with: pip install itk-rtk")
    return itk, itk.RTK


def image_type() -> Any:
    """Three-dimensional images of single precision, the type of every filter used here."""
    itk, _ = itk_and_rtk("RTK's image type")
    return itk.Image[itk.F, 3]

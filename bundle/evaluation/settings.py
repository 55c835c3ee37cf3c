"""Checking and completing the settings of an evaluation."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from monai.bundle import ConfigParser

import bundle
from bundle.arguments import read_mapping
from bundle.errors import InputError

__all__ = ["check_method", "chosen_window", "merged_settings", "package_versions"]

_PACKAGES = ("monai", "torch", "numpy", "scipy", "scikit-image", "torchmetrics", "lungmask", "nnunetv2", "nibabel")


def merged_settings(settings: Mapping[str, Any] | None, changes: Mapping[str, Any] | str | None) -> dict[str, Any]:
    """Settings of the reconstructing evaluation: those that are not None, and further ones as they are.

    Raises:
        InputError: when the further ones are no settings.
    """
    chosen = {name: value for name, value in (settings or {}).items() if value is not None}
    return {**chosen, **read_mapping(changes, "changes")}


def chosen_window(
    given: Sequence[float] | None, parser: ConfigParser, volumes: str | None, changes: Mapping[str, Any]
) -> tuple[float, float]:
    """HU at 0 and 1: those given, or the scan's.

    Raises:
        InputError: when they are no window, or volumes without a preset leave it open.
    """
    if given is None:
        if volumes is not None and "preset" not in changes:
            raise InputError(
                "hu_window",
                "is not given, and volumes do not tell it.",
                "Give it, as [-1000,1024], or the scan's preset.",
            )
        given = parser.get_parsed_content("scan").hu_window
    try:
        low, high = (float(n) for n in given)
    except (TypeError, ValueError):
        low = high = math.nan
    if not -math.inf < low < high < math.inf:
        raise InputError("hu_window", f"is {given!r}.", "Give two numbers, the lower first.")
    return low, high


def check_method(method: str, known: Sequence[str]) -> None:
    """Refuses a method that reconstructs nothing.

    Raises:
        InputError: naming those that do.
    """
    if method not in known:
        known = list(dict.fromkeys(known))
        raise InputError("method", f"is {method!r}, which reconstructed nothing.", f"Use {' or '.join(known)}.")


def package_versions() -> dict[str, str]:
    """Versions of what the figures depend on."""
    versions = {"bundle": bundle.__version__, "Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions

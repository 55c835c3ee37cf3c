"""DeepSparse: cone-beam CT from 6 to 10 X-ray views, as a MONAI bundle."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from bundle.errors import install_command_line_hook

if TYPE_CHECKING:
    from bundle.api import reconstruct
    from bundle.geometry import ConeBeamGeometry, circular

__all__ = ["ConeBeamGeometry", "circular", "reconstruct"]

__version__ = "0.9.0"

_main_spec = getattr(sys.modules.get("__main__"), "__spec__", None)
if _main_spec is not None and _main_spec.name == "monai.bundle.__main__":
    # Only as a program (``python -m monai.bundle``), never in somebody's own process.
    install_command_line_hook()

_HOMES = {"ConeBeamGeometry": "bundle.geometry", "circular": "bundle.geometry", "reconstruct": "bundle.api"}


def __getattr__(name: str) -> Any:
    """Imports what the package offers when it is first asked for: commands and workers start without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)

"""Making torchvision importable beside a PyTorch that it was not built for.

The package index has torchvision for CUDA only. Beside a PyTorch for CPUs its compiled operators do not load, and its
import fails where it registers their shapes, though nothing here ever calls them. nnU-Net and torchmetrics import
torchvision, so code that imports those calls :func:`ensure_torchvision` first; nothing else needs it.
"""

from __future__ import annotations

import importlib.util
import sys

import torch

__all__ = ["ensure_torchvision"]

_UNLOADED = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[torch.library.Library] = []  # declarations last as long as the object


def ensure_torchvision() -> None:
    """Declares the operators that torchvision registers on import, if it cannot be imported without.

    Does nothing where torchvision is missing or imports by itself. The declared operators cannot be run.
    """
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::" not in str(error) or _declared:
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        _declared.append(torch.library.Library("torchvision", "FRAGMENT"))
        for schema in _UNLOADED:
            _declared[0].define(schema)
        import torchvision  # noqa: F401

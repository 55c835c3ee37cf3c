"""Mixed precision on any device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer

__all__ = ["AutocastInferer"]


class AutocastInferer(Inferer):
    """Calls another inferer in mixed precision.

    Args:
        inferer: the other.
        device_type: "cpu", "cuda", ...
        options: further arguments of torch.autocast.
    """

    def __init__(self, inferer: Inferer, device_type: str, **options: Any) -> None:
        super().__init__()
        self.inferer = inferer
        self.device_type = device_type
        self.options = options

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The other inferer's result."""
        with torch.autocast(self.device_type, **self.options):
            return self.inferer(inputs, network, *args, **kwargs)

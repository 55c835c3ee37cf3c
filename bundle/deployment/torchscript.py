"""TorchScript (.ts), as MONAI's ckpt_export writes it, with this package's description."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from monai.data import save_net_with_metadata

from bundle.networks import DiCE
from bundle.presets import ScanPreset

__all__ = ["PACKAGES", "SUFFIX", "load", "write"]

SUFFIX = ".ts"
PACKAGES: tuple[str, ...] = ()


def write(network: DiCE, scan: ScanPreset, description: str, path: Path) -> None:
    """Writes the file; see bundle.deployment.export_network."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The TorchScript type system")  # of lists that it never sees
        scripted = torch.jit.script(network)
    with open(path, "wb") as file:
        save_net_with_metadata(scripted, file, include_config_vals=False, meta_values=json.loads(description))


def load(path: Path) -> Callable[[torch.Tensor], torch.Tensor]:
    """Reads the file back as a function of projections."""
    return torch.jit.load(path)

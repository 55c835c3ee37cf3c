"""Writing the network as one file that runs without this package, and proving that it does the same."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from bundle.atomic import atomic_path, check_output
from bundle.deployment import exported_program, onnx_model, torchscript
from bundle.deployment.description import describe
from bundle.errors import InputError
from bundle.networks import DiCE
from bundle.networks.classical_prior import ClassicalPrior
from bundle.optional import require
from bundle.presets import ScanPreset

__all__ = ["FORMATS", "check_agreement", "check_target", "export_network"]

FORMATS: dict[str, ModuleType] = {"torchscript": torchscript, "onnx": onnx_model, "pt2": exported_program}
"""By name: modules with a suffix, the packages that they need, and functions that write and load a file."""

_TOLERANCE = 1e-3  # of the volume's standard deviation
_MOST_DIFFERENT = 0.05  # a feature between two codes may fall to either, which changes its surroundings


def check_target(format: str, output: str | os.PathLike, overwrite: bool = False) -> Path:
    """Refuses what cannot be written, before any work is done.

    Raises:
        InputError: when there is no such format, the name has another's suffix, or the file exists and may not be
            replaced.
        ImportError: when a package that the format needs is missing.
    """
    if format not in FORMATS:
        raise InputError("format", f"is {format!r}.", f"Use one of {', '.join(FORMATS)}.")
    path = check_output(output, overwrite, (FORMATS[format].SUFFIX,))
    for package in FORMATS[format].PACKAGES:
        require(package, package, f"an export to {format}")
    return path


def export_network(
    network: DiCE,
    scan: ScanPreset,
    output: str | os.PathLike,
    format: str,
    about: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> float:
    """Writes the one-tensor form, projections [B, views, V, U] to a volume [B, 1, X, Y, Z].

    The file appears only after it was read back and gave the same volume as the network.

    Args:
        network: the network; it is exported in eval mode, from the CPU.
        scan: its default scan.
        output: file to write: .ts, .onnx or .pt2.
        format: one of :data:`FORMATS`.
        about: plain entries for the file's description, such as name and version.
        overwrite: replace an existing file.

    Returns:
        The share of voxels that differ from the network's, see :func:`check_agreement`.

    Raises:
        InputError: when the file cannot be written, or does not do what the network does.
        ImportError: when a package that the format needs is missing.
    """
    path = check_target(format, output, overwrite)
    if isinstance(network.prior, ClassicalPrior) and format != "torchscript":
        raise InputError("format", f"{format} cannot hold a network with a classical prior.", "Use torchscript.")
    # Weights that wanted gradients in the file would make its user turn gradients off.
    network = copy.deepcopy(network).cpu().eval().requires_grad_(False)
    with atomic_path(path) as temporary:
        FORMATS[format].write(network, scan, describe(network, scan, about), temporary)
        return check_agreement(FORMATS[format].load(temporary), network, scan, path)


def check_agreement(
    exported: Callable[[torch.Tensor], torch.Tensor], network: DiCE, scan: ScanPreset, source: object
) -> float:
    """Compares an exported network with the original, on random projections of one case and three views.

    Args:
        exported: the function that was read back.
        network: the original.
        scan: its default scan.
        source: what to name in the message.

    Returns:
        The share of voxels that differ by more than 0.001 of the volume's standard deviation.

    Raises:
        InputError: when it is above 0.05.
    """
    projections = torch.rand(1, 3, *scan.detector_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = network(projections), exported(projections)
    same = (found - expected).abs() <= _TOLERANCE * expected.std()
    different = 1.0 - float(same.float().mean())
    if different > _MOST_DIFFERENT:
        raise InputError(
            source,
            f"was not written: {different:.0%} of its voxels differ from the network's.",
            "Export to another format, and report it.",
        )
    return different

"""PyTorch's exported program (.pt2): a graph that PyTorch runs without the code that made it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from bundle.deployment.description import INPUT, METADATA
from bundle.deployment.loop_network import LoopNetwork
from bundle.networks import DiCE
from bundle.presets import ScanPreset

__all__ = ["PACKAGES", "SUFFIX", "load", "trace", "write"]

SUFFIX = ".pt2"
PACKAGES: tuple[str, ...] = ()


def trace(network: DiCE, scan: ScanPreset) -> torch.export.ExportedProgram:
    """The network's one-tensor form as a graph for any number of cases and views.

    Args:
        network: in eval mode, on the CPU, without gradients.
        scan: its default scan.

    Returns:
        The program: projections [B, views, V, U] to a volume [B, 1, X, Y, Z].
    """
    sizes = {0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("views", min=1)}
    example = torch.zeros(2, 2, *scan.detector_shape)
    program = torch.export.export(LoopNetwork(network).eval(), (example,), dynamic_shapes={INPUT: sizes})
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)  # files would tell the folders of the machine that made them
    return program


def write(network: DiCE, scan: ScanPreset, description: str, path: Path) -> None:
    """Writes the file; the arguments are those of the other formats, too."""
    with open(path, "wb") as file:
        torch.export.save(trace(network, scan), file, extra_files={METADATA: description})


def load(path: Path) -> Callable[[torch.Tensor], torch.Tensor]:
    """Reads the file back as a function of projections."""
    with open(path, "rb") as file:
        return torch.export.load(file).module()

"""The network's one-tensor form with its loops as operators, for exporters that write every operation that they see."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch._higher_order_ops.scan import scan

from bundle.networks import DiCE
from bundle.networks.feature_sampling import detector_coordinates
from bundle.networks.grid_decoding import GridTask, decode_rows
from bundle.networks.view_sampling import largest_samples

__all__ = ["LoopNetwork"]


class LoopNetwork(nn.Module):
    """Equals DiCE's call with projections alone, for any number of cases and views.

    A tracing exporter unrolls Python's loops: the file would grow with the volume and hold for one number of cases and
    views only. Here cases and planes are loops of the exported program, and the views are an axis of its tensors.

    Args:
        network: the network, in eval mode.
    """

    def __init__(self, network: DiCE) -> None:
        super().__init__()
        self.network = network

    def forward(self, projections: torch.Tensor) -> torch.Tensor:
        """Reconstructs the default scan's volume.

        Args:
            projections: [B, views, V, U] normalised projections, equally spaced over the default arc.

        Returns:
            [B, 1, X, Y, Z] volume, 0 and 1 at the ends of the HU window.
        """
        network = self.network
        views = projections.shape[1]
        angles_rad = torch.arange(views, device=projections.device) * (network.scan_orbit[2] / views)
        matrices = network.circular_matrices(angles_rad.unsqueeze(0))

        def case(projections: torch.Tensor) -> torch.Tensor:
            features = network.encode(projections.unsqueeze(0))
            volume = network.embed(features, matrices, None).volume
            task = network.grid([scale[0] for scale in features], volume[0], matrices[0], network.volume_shape)
            return _decode(task, network.points_per_chunk)

        return _for_each(case, projections).unsqueeze(1)


def _for_each(function: Callable[..., torch.Tensor], *items: torch.Tensor) -> torch.Tensor:
    """Stacks what a function makes of the tensors' slices, by a scan, which every format has; it carries nothing."""

    def step(carried: torch.Tensor, slices: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, torch.Tensor]:
        return carried.clone(), function(*slices)

    return scan(step, torch.zeros(1), items)[1]


def _decode(task: GridTask, points_at_once: int) -> torch.Tensor:
    """[X, Y, Z] of one case; see bundle.networks.grid_decoding.decode_planes."""
    rows, columns = len(task.axes[1]), len(task.axes[2])
    at_once = max(1, points_at_once // columns)

    def plane(place: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        sums = (weights @ task.volume_sums.flatten(1)).reshape(task.volume_sums.shape[1:])
        parts = []
        for first in range(0, rows, at_once):
            last = min(first + at_once, rows)
            parts.append(decode_rows(task, sums, _samples(task, place, first, last), first, last))
        return torch.cat(parts)

    return _for_each(plane, task.axes[0], task.weights[0])


def _samples(task: GridTask, place: torch.Tensor, first: int, last: int) -> torch.Tensor:
    """[C_2d, points] largest features over the views at some rows of the plane at the given place [] along x."""
    y, z = torch.meshgrid(task.axes[1][first:last], task.axes[2], indexing="ij")
    points = torch.stack([place.expand_as(y), y, z], dim=-1).reshape(1, -1, 3)
    coordinates = detector_coordinates(task.matrices.unsqueeze(0), points)
    scales = [largest_samples(maps.unsqueeze(0), coordinates, None, task.corner_aligned) for maps in task.maps]
    return torch.cat(scales, dim=1)[0]

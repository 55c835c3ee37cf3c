"""Decoding of a regular grid of points, in which neighbours share most of the work.

Exactly the network's function at the grid's points, arranged for speed:

- The 3D features enter every layer of the point decoder by a linear product, and so does their interpolation. The
  product is therefore taken at the low resolution, once, and its result interpolated, axis by axis.
- The largest 2D feature over the views is kept while going through the views, never stacked.
- All layers' products with the 2D features are one matrix product (see FoldedDecoder); nothing is concatenated.
"""

# No ``from __future__ import annotations``: TorchScript evaluates the annotations of the NamedTuple.
from typing import NamedTuple

import torch
import torch.nn.functional as F

from bundle.networks.folded_decoder import FoldedDecoder, decode_hidden

__all__ = ["GridTask", "axis_weights", "decode_planes", "decode_rows", "grid_task", "plane_sums", "sample_rows"]


class GridTask(NamedTuple):
    """One case's grid to be decoded; X, Y, Z is the output's shape, S the sum of the decoder's widths.

    Args:
        maps: per scale [views, C_k, V_k, U_k] 2D features of the views to use.
        matrices: [views, 3, 4], see ConeBeamGeometry.unit_matrices.
        axes: [X], [Y], [Z] places of the voxels along each axis of the unit cube.
        corner_aligned: how the maps are sampled, see sample_maps.
        volume_sums: [r, S, r, r] the 3D features' share of every layer, x first.
        weights: [X, r], [Y, r], [Z, r] linear interpolation along each axis.
        decoder: the point decoder.
    """

    maps: list[torch.Tensor]
    matrices: torch.Tensor
    axes: list[torch.Tensor]
    corner_aligned: bool
    volume_sums: torch.Tensor
    weights: list[torch.Tensor]
    decoder: FoldedDecoder


def grid_task(
    maps: list[torch.Tensor],
    volume: torch.Tensor,
    matrices: torch.Tensor,
    axes: list[torch.Tensor],
    decoder: FoldedDecoder,
    corner_aligned: bool,
    corner_low_resolution: bool,
) -> GridTask:
    """Prepares a grid; see GridTask for the arguments.

    Args:
        maps: 2D features.
        volume: [C, r, r, r] 3D features of the case.
        matrices: projection matrices.
        axes: places of the voxels.
        decoder: the point decoder.
        corner_aligned: how the maps are sampled.
        corner_low_resolution: how the volume is sampled, see sample_volume.

    Returns:
        The task.
    """
    r = volume.shape[-1]
    sums = (decoder.volume @ volume.flatten(1)).reshape(-1, r, r, r)
    weights = [axis_weights(axis, r, corner_low_resolution) for axis in axes]
    return GridTask(maps, matrices, axes, corner_aligned, sums.transpose(0, 1).contiguous(), weights, decoder)


def axis_weights(places: torch.Tensor, size: int, corner_aligned: bool) -> torch.Tensor:
    """Linear interpolation along one axis as a matrix; the counterpart of sample_volume.

    Args:
        places: [n] places in [0, 1].
        size: voxels along the axis.
        corner_aligned: see sample_volume.

    Returns:
        [n, size] weights of the voxels.
    """
    voxels = torch.arange(size, dtype=places.dtype, device=places.device)
    if corner_aligned:
        index = places * (size - 1)  # zero outside
    else:
        index = (places * size - 0.5).clamp(0.0, size - 1.0)
    return (1.0 - (index.unsqueeze(1) - voxels).abs()).clamp(min=0.0)


def sample_rows(task: GridTask, x: int, first: int, last: int) -> torch.Tensor:
    """Largest 2D features over the views at some rows along z of one plane.

    Args:
        task: the grid.
        x: index of the plane.
        first: index of the first row.
        last: end of the rows.

    Returns:
        [C_2d, (last - first) Z].
    """
    matrices = task.matrices
    rows = matrices[:, :, 0:1] * task.axes[0][x] + matrices[:, :, 1:2] * task.axes[1][first:last] + matrices[:, :, 3:4]
    h = rows.unsqueeze(3) + (matrices[:, :, 2:3] * task.axes[2]).unsqueeze(2)  # [views, 3, rows, Z]
    grid = torch.stack([h[:, 1] / h[:, 2], h[:, 0] / h[:, 2]], dim=-1)
    parts: list[torch.Tensor] = []
    for scale in task.maps:
        largest = _sample(scale[0:1], grid[0:1], task.corner_aligned)
        for view in range(1, scale.shape[0]):
            sample = _sample(scale[view : view + 1], grid[view : view + 1], task.corner_aligned)
            largest = torch.maximum(largest, sample)
        parts.append(largest.flatten(2))
    return torch.cat(parts, dim=1)[0]


def _sample(features: torch.Tensor, grid: torch.Tensor, corner_aligned: bool) -> torch.Tensor:
    return F.grid_sample(features, grid, mode="bilinear", padding_mode="zeros", align_corners=corner_aligned)


def plane_sums(task: GridTask, first: int, last: int) -> torch.Tensor:
    """The 3D features' share of every layer, interpolated along x.

    Args:
        task: the grid.
        first: index of the first plane.
        last: end of the planes.

    Returns:
        [last - first, S, r, r].
    """
    sums = task.volume_sums
    planes = task.weights[0][first:last] @ sums.flatten(1)
    return planes.reshape(last - first, sums.shape[1], sums.shape[2], sums.shape[3])


def row_shares(task: GridTask, plane: torch.Tensor, first: int, last: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The 3D features' share of every layer's sums, and the biases, at some rows along z of one plane.

    Args:
        task: the grid.
        plane: [S, r, r] of the plane, from :func:`plane_sums`.
        first: index of the first row.
        last: end of the rows.

    Returns:
        [S, last - first, r + 1] and the interpolation along z [Z, r + 1]; the product of both is the share. The bias
        is one more voxel of weight 1, which spares a pass over the sums.
    """
    rows, along_z = task.weights[1][first:last] @ plane, task.weights[2]
    rows = torch.cat([rows, task.decoder.bias[:, None, None].expand(-1, last - first, 1)], dim=2)
    return rows, torch.cat([along_z, torch.ones_like(along_z[:, :1])], dim=1)


def decode_rows(task: GridTask, plane: torch.Tensor, samples: torch.Tensor, first: int, last: int) -> torch.Tensor:
    """Predicts some rows along z of one plane.

    Args:
        task: the grid.
        plane: [S, r, r] of the plane, from :func:`plane_sums`.
        samples: [C_2d, (last - first) Z] of the rows, from :func:`sample_rows`.
        first: index of the first row.
        last: end of the rows.

    Returns:
        [last - first, Z].
    """
    decoder = task.decoder
    rows, along_z = row_shares(task, plane, first, last)
    sums = (rows.flatten(0, 1) @ along_z.t()).reshape(rows.shape[0], -1)
    sums.addmm_(decoder.maps, samples)
    return decode_hidden(sums, decoder.hidden, decoder.slopes).reshape(last - first, along_z.shape[0])


def decode_planes(task: GridTask, first: int, last: int, points_at_once: int, planes_at_once: int = 8) -> torch.Tensor:
    """Predicts some planes across x.

    Args:
        task: the grid.
        first: index of the first plane.
        last: end of the planes.
        points_at_once: bounds the memory; at least a row is taken.
        planes_at_once: planes for which the 3D features are read once.

    Returns:
        [last - first, Y, Z].
    """
    rows, length = task.axes[1].shape[0], task.axes[2].shape[0]
    at_once = max(1, points_at_once // length)
    parts: list[torch.Tensor] = []
    for group in range(first, last, planes_at_once):
        planes = plane_sums(task, group, min(group + planes_at_once, last))
        for i in range(planes.shape[0]):
            for begin in range(0, rows, at_once):
                end = min(begin + at_once, rows)
                samples = sample_rows(task, group + i, begin, end)
                parts.append(decode_rows(task, planes[i], samples, begin, end))
    return torch.cat(parts).reshape(last - first, rows, length)

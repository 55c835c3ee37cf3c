"""Total-variation reconstruction in operations that TorchScript knows, for exported networks with a prior.

The same minimisation and the same line integrals (Joseph's method) as bundle.classical.TotalVariation, whose compiled
projectors an exported file cannot hold. A group is the rays of one view that share a main axis.
"""

# No ``from __future__ import annotations``: TorchScript evaluates the annotations.

import torch
import torch.nn.functional as F

from bundle.classical.total_variation import EDGE_STEP, RAY_STEP

__all__ = ["reconstruct"]

_Groups = tuple[list[int], list[int], list[torch.Tensor], list[torch.Tensor]]


def reconstruct(
    integrals_mm: torch.Tensor,
    matrices: torch.Tensor,
    volume_size_mm: list[float],
    size: int,
    weight: float,
    iterations: list[int],
) -> torch.Tensor:
    """Reconstructs one scan.

    Args:
        integrals_mm: [views, V, U] line integrals in value times mm.
        matrices: [views, 3, 4], see ConeBeamGeometry.unit_matrices.
        volume_size_mm: side lengths (x, y, z).
        size: voxels per side.
        weight: of the total variation.
        iterations: steps of the grid, then of the grids of half, a quarter, ... the voxels that it starts from.

    Returns:
        [size, size, size].
    """
    levels = len(iterations)
    views, rows, columns = integrals_mm.shape
    volume, along_rays, edges = torch.zeros(1), torch.zeros(1), torch.zeros(1)
    for level in range(levels - 1, -1, -1):
        scale = 1 << level
        pixels = F.avg_pool2d(integrals_mm.unsqueeze(0), scale)[0] if scale > 1 else integrals_mm
        voxels = size // scale
        if level == levels - 1:
            volume = torch.zeros([voxels, voxels, voxels], device=pixels.device)
            along_rays = torch.zeros_like(pixels).flatten(1)
            edges = torch.zeros([3, voxels, voxels, voxels], device=pixels.device)
        else:
            volume = F.interpolate(volume[None, None], scale_factor=2.0, mode="trilinear", align_corners=False)[0, 0]
            coarse = along_rays.reshape(1, views, rows // scale // 2, columns // scale // 2)
            along_rays = F.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)[0].flatten(1)
            edges = F.interpolate(edges[None], scale_factor=2.0, mode="nearest")[0]
            for axis in range(3):
                edges[axis].select(axis, voxels - 1).zero_()
        volume, along_rays, edges = _minimise(
            volume, along_rays, edges, pixels, matrices, volume_size_mm, weight, iterations[level]
        )
    return volume


def _minimise(
    volume: torch.Tensor,
    along_rays: torch.Tensor,
    edges: torch.Tensor,
    integrals_mm: torch.Tensor,
    matrices: torch.Tensor,
    volume_size_mm: list[float],
    weight: float,
    iterations: int,
    ray_weight: float = RAY_STEP,
    edge_weight: float = EDGE_STEP,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rows, columns, size = integrals_mm.shape[1], integrals_mm.shape[2], volume.shape[0]
    views: list[int] = []
    axes: list[int] = []
    grids: list[torch.Tensor] = []
    lengths: list[torch.Tensor] = []
    for view in range(matrices.shape[0]):
        source, direction = _rays(matrices[view], rows, columns)
        main = direction.abs().argmax(dim=0)
        for axis in range(3):
            if bool((main == axis).any()):
                grid, length = _group(source, direction, main == axis, axis, size, volume_size_mm)
                views.append(view)
                axes.append(axis)
                grids.append(grid)
                lengths.append(length)
    groups = (views, axes, grids, lengths)
    target = integrals_mm.flatten(1)
    sums = _project(torch.ones_like(volume), groups)
    crossed = sums > 1e-3 * sums.max()  # as in bundle.classical.sart.inverse_sums
    scale = torch.where(crossed, 1.0 / sums, torch.zeros_like(sums)).sqrt()
    step = 1.0 / (ray_weight * _back_project(scale, volume, groups) + 6.0 * edge_weight)
    ray_step = ray_weight * scale
    target = scale * target
    ahead = volume
    for _ in range(iterations):
        along_rays = (along_rays + ray_step * (scale * _project(ahead, groups) - target)) / (1.0 + ray_step)
        edges = edges + 0.5 * edge_weight * _gradient(ahead)
        length = edges.square().sum(dim=0, keepdim=True).sqrt()
        edges = edges * (weight / length.clamp(min=weight))
        down = _back_project(scale * along_rays, volume, groups) + _gradient_adjoint(edges)
        moved = (volume - step * down).clamp(min=0.0)
        ahead = 2.0 * moved - volume
        volume = moved
    return volume, along_rays, edges


def _rays(matrix: torch.Tensor, rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A view's source [3] and the directions [3, rays] to its pixels, in the unit cube."""
    inverse = torch.linalg.inv(matrix[:, :3].double())
    v = (2.0 * torch.arange(rows, device=matrix.device).double() + 1.0) / rows - 1.0
    u = (2.0 * torch.arange(columns, device=matrix.device).double() + 1.0) / columns - 1.0
    direction = inverse[:, 0:1] * v.repeat_interleave(columns) + inverse[:, 1:2] * u.repeat(rows) + inverse[:, 2:3]
    return -(inverse @ matrix[:, 3].double()), direction


def _group(
    source: torch.Tensor,
    direction: torch.Tensor,
    members: torch.Tensor,
    axis: int,
    size: int,
    volume_size_mm: list[float],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Where rays meet the slices across an axis [slices, 1, rays, 2], and their mm per slice [rays], 0 of no member."""
    others = [1, 2] if axis == 0 else ([0, 2] if axis == 1 else [0, 1])
    along = torch.where(members, direction[axis], torch.ones_like(direction[axis]))
    index = torch.arange(size, device=source.device).double().unsqueeze(1)
    places: list[torch.Tensor] = []
    for other in others:
        slope = direction[other] / along
        start = source[other] * size - 0.5 - (source[axis] * size - 0.5) * slope
        places.append((2.0 * (start + index * slope) + 1.0) / size - 1.0)
    grid = torch.stack([places[1], places[0]], dim=-1).unsqueeze(1)
    sides = torch.tensor(volume_size_mm, device=source.device).double().unsqueeze(1)
    length = (direction * sides).square().sum(dim=0).sqrt() / along.abs() / size
    return grid.float(), torch.where(members, length, torch.zeros_like(length)).float()


def _project(volume: torch.Tensor, groups: _Groups) -> torch.Tensor:
    """[views, rays] line integrals of [X, Y, Z]."""
    views, axes, grids, lengths = groups
    integrals = torch.zeros([views[-1] + 1, lengths[0].shape[0]], device=volume.device)
    for k in range(len(views)):
        slices = volume.movedim(axes[k], 0).unsqueeze(1)
        samples = F.grid_sample(slices, grids[k], mode="bilinear", padding_mode="zeros", align_corners=False)
        integrals[views[k]] += samples[:, 0, 0].sum(dim=0) * lengths[k]
    return integrals


def _back_project(values: torch.Tensor, like: torch.Tensor, groups: _Groups) -> torch.Tensor:
    """The exact adjoint: [views, rays] to the shape of like [X, Y, Z]."""
    views, axes, grids, lengths = groups
    total = torch.zeros_like(like)
    for k in range(len(views)):
        slices = total.movedim(axes[k], 0).unsqueeze(1).contiguous()
        spread = (values[views[k]] * lengths[k]).expand(slices.shape[0], 1, 1, -1).contiguous()
        # The backward pass of grid_sample alone: interpolation is linear, so its gradient is its transpose.
        added = torch.ops.aten.grid_sampler_2d_backward(spread, slices, grids[k], 0, 0, False, [True, False])[0]
        total = total + added[:, 0].movedim(0, axes[k])
    return total


def _gradient(volume: torch.Tensor) -> torch.Tensor:
    """[3, X, Y, Z] differences to the next voxel, zero at the far faces."""
    parts: list[torch.Tensor] = []
    for axis in range(3):
        last = volume.narrow(axis, volume.shape[axis] - 1, 1)
        parts.append(torch.cat([volume.diff(dim=axis), torch.zeros_like(last)], dim=axis))
    return torch.stack(parts)


def _gradient_adjoint(field: torch.Tensor) -> torch.Tensor:
    """The transpose of _gradient, of a field that is zero at the far faces."""
    total = torch.zeros_like(field[0])
    for axis in range(3):
        part = field[axis]
        first = torch.zeros_like(part.narrow(axis, 0, 1))
        before = torch.cat([first, part.narrow(axis, 0, part.shape[axis] - 1)], dim=axis)
        total = total + before - part
    return total

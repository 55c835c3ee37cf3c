"""Total-variation reconstruction in operations that TorchScript knows, for exported networks with a prior.

The same minimisation and the same line integrals (Joseph's method) as bundle.classical.TotalVariation, whose compiled
projectors an exported file cannot hold. A group is the rays of one view that share a main axis.
"""

# No ``from __future__ import annotations``: TorchScript evaluates the annotations.

import torch
import torch.nn.functional as F

from bundle.classical.total_variation import EDGE_STEP, LEAST_SIDE, MOST_SUBSETS, RAY_STEP

__all__ = ["reconstruct"]

_Groups = tuple[list[int], list[int], list[torch.Tensor], list[torch.Tensor]]


def reconstruct(
    integrals_mm: torch.Tensor,
    matrices: torch.Tensor,
    volume_size_mm: list[float],
    size: int,
    weight_mm: float,
    iterations: list[int],
    least_side: int = LEAST_SIDE,
) -> torch.Tensor:
    """Reconstructs one scan.

    Args:
        integrals_mm: [views, V, U] line integrals in value times mm.
        matrices: [views, 3, 4], see ConeBeamGeometry.unit_matrices.
        volume_size_mm: side lengths (x, y, z).
        size: voxels per side.
        weight_mm: of the total variation.
        iterations: sweeps of the grid, then of the grids of half, a quarter, ... the voxels that it starts from.
        least_side: voxels along an axis of the coarsest grid.

    Returns:
        [size, size, size].
    """
    sizes = [size]
    while len(sizes) < len(iterations) and (sizes[-1] + 1) // 2 >= least_side:
        sizes.append((sizes[-1] + 1) // 2)
    views = integrals_mm.shape[0]
    volume, along_rays, edges = torch.zeros(1), torch.zeros(1), torch.zeros(1)
    for level in range(len(sizes) - 1, -1, -1):
        side = sizes[level]
        pixels = _binned(integrals_mm, matrices, volume_size_mm, side)
        rows, columns = pixels.shape[1], pixels.shape[2]
        if level == len(sizes) - 1:
            volume = torch.zeros([side, side, side], device=pixels.device)
            along_rays = torch.zeros_like(pixels)
            edges = torch.zeros([3, side, side, side], device=pixels.device)
        else:
            shape = [side, side, side]
            volume = F.interpolate(volume[None, None], size=shape, mode="trilinear", align_corners=False)[0, 0]
            coarse = along_rays.unsqueeze(0)
            along_rays = F.interpolate(coarse, size=[rows, columns], mode="bilinear", align_corners=False)[0]
            edges = F.interpolate(edges[None], size=shape, mode="nearest")[0]
            for axis in range(3):
                edges[axis].select(axis, side - 1).zero_()
        flat = along_rays.reshape(views, rows * columns)
        volume, flat, edges = _minimise(
            volume, flat, edges, pixels, matrices, volume_size_mm, weight_mm, iterations[level]
        )
        along_rays = flat.reshape(views, rows, columns)
    return volume


def _pixels_per_mm(matrices: torch.Tensor, volume_size_mm: list[float], rows: int, columns: int) -> torch.Tensor:
    """[views, 2] pixels (v, u) for each mm across the ray at the volume's centre."""
    sides = torch.tensor(volume_size_mm, device=matrices.device).double()
    to_mm = matrices[:, :, :3].double() / sides
    depth = to_mm[:, 2:].square().sum(dim=2).sqrt()
    normal = to_mm[:, 2:] / depth.unsqueeze(2)
    across = to_mm[:, :2] - (to_mm[:, :2] * normal).sum(dim=2, keepdim=True) * normal
    distance = (0.5 * matrices[:, 2, :3].double().sum(dim=1) + matrices[:, 2, 3].double()).abs() / depth[:, 0]
    half = torch.tensor([0.5 * rows, 0.5 * columns], device=matrices.device).double()
    return across.square().sum(dim=2).sqrt() / depth / distance.unsqueeze(1) * half


def _binned(integrals_mm: torch.Tensor, matrices: torch.Tensor, volume_size_mm: list[float], size: int) -> torch.Tensor:
    """Averages pixels, as many as fit into a voxel's shadow; see bundle.classical.pixel_binning."""
    rows, columns = integrals_mm.shape[1], integrals_mm.shape[2]
    per_mm = _pixels_per_mm(matrices, volume_size_mm, rows, columns).amin(dim=0)
    voxel_v = volume_size_mm[2] / size
    voxel_u = min(volume_size_mm[0], volume_size_mm[1]) / size
    factors = [
        _largest_divisor(rows, voxel_v * float(per_mm[0].item()) + 1e-3),
        _largest_divisor(columns, voxel_u * float(per_mm[1].item()) + 1e-3),
    ]
    return F.avg_pool2d(integrals_mm.unsqueeze(0), factors)[0]


def _largest_divisor(n: int, most: float) -> int:
    found = 1
    for f in range(1, int(most) + 1):
        if n % f == 0:
            found = f
    return found


def _subsets(views: int, most: int = MOST_SUBSETS) -> list[list[int]]:
    """Views in subsets, in the order of bundle.classical.sart.interleaved_subsets."""
    count = min(most, views)
    stride = max(1, int(round(0.382 * count)))
    while _has_common_factor(stride, count):
        stride += 1
    subsets: list[list[int]] = []
    for k in range(count):
        members: list[int] = []
        for view in range((k * stride) % count, views, count):
            members.append(view)
        subsets.append(members)
    return subsets


def _has_common_factor(a: int, b: int) -> bool:
    while b > 0:
        a, b = b, a % b
    return a > 1


def _minimise(
    volume: torch.Tensor,
    along_rays: torch.Tensor,
    edges: torch.Tensor,
    integrals_mm: torch.Tensor,
    matrices: torch.Tensor,
    volume_size_mm: list[float],
    weight_mm: float,
    iterations: int,
    ray_weight: float = RAY_STEP,
    edge_weight: float = EDGE_STEP,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rows, columns, size = integrals_mm.shape[1], integrals_mm.shape[2], volume.shape[0]
    subsets = _subsets(matrices.shape[0])
    parts: list[_Groups] = []
    for members in subsets:
        parts.append(_groups(matrices[members], rows, columns, size, volume_size_mm))
    voxel_volume = volume_size_mm[0] * volume_size_mm[1] * volume_size_mm[2] / float(size) ** 3
    scales = [voxel_volume ** (1 / 3) * size / side for side in volume_size_mm]
    per_mm = _pixels_per_mm(matrices, volume_size_mm, rows, columns)
    share = (1.0 / per_mm.prod(dim=1) / voxel_volume ** (2 / 3)).float()
    target = integrals_mm.flatten(1)
    sums = torch.zeros_like(target)
    for k in range(len(subsets)):
        sums[subsets[k]] = _project(torch.ones_like(volume), parts[k])
    crossed = sums > 1e-3 * sums.max()  # as in bundle.classical.sart.inverse_sums
    per_length = torch.where(crossed, 1.0 / sums, torch.zeros_like(sums))
    scale = (share.unsqueeze(1) * per_length).sqrt()
    ray_step = ray_weight * torch.where(scale > 0, per_length / scale, torch.zeros_like(scale))
    most, spread = torch.zeros_like(volume), torch.zeros_like(volume)
    for k in range(len(subsets)):
        own = scale[subsets[k]]
        most = torch.maximum(most, _back_project(own, volume, parts[k]))
        spread = spread + _back_project(own * along_rays[subsets[k]], volume, parts[k])
    sum_of_scales, largest = scales[0] + scales[1] + scales[2], max(scales)
    step = 1.0 / (len(subsets) * ray_weight * most + 2.0 * edge_weight * sum_of_scales)
    edge_step = edge_weight / (2.0 * largest)
    ahead, edges_ahead = spread, edges
    for _ in range(iterations):
        for k in range(len(subsets)):
            volume = (volume - step * (ahead + _gradient_adjoint(edges_ahead, scales))).clamp(min=0.0)
            moved = edges + edge_step * _gradient(volume, scales)
            length = moved.square().sum(dim=0, keepdim=True).sqrt()
            moved = moved * (weight_mm / length.clamp(min=weight_mm))
            edges_ahead = 2.0 * moved - edges
            edges = moved
            own, own_step, old = scale[subsets[k]], ray_step[subsets[k]], along_rays[subsets[k]]
            residual = own * (_project(volume, parts[k]) - target[subsets[k]])
            new = (old + own_step * residual) / (1.0 + own_step)
            along_rays[subsets[k]] = new
            change = _back_project(own * (new - old), volume, parts[k])
            spread = spread + change
            ahead = spread + float(len(subsets)) * change
    return volume, along_rays, edges


def _groups(matrices: torch.Tensor, rows: int, columns: int, size: int, volume_size_mm: list[float]) -> _Groups:
    """The rays of some views, by view and main axis."""
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
    return views, axes, grids, lengths


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


def _gradient(volume: torch.Tensor, scales: list[float]) -> torch.Tensor:
    """[3, X, Y, Z] scaled differences to the next voxel, zero at the far faces."""
    parts: list[torch.Tensor] = []
    for axis in range(3):
        last = volume.narrow(axis, volume.shape[axis] - 1, 1)
        parts.append(scales[axis] * torch.cat([volume.diff(dim=axis), torch.zeros_like(last)], dim=axis))
    return torch.stack(parts)


def _gradient_adjoint(field: torch.Tensor, scales: list[float]) -> torch.Tensor:
    """The transpose of _gradient, of a field that is zero at the far faces."""
    total = torch.zeros_like(field[0])
    for axis in range(3):
        part = scales[axis] * field[axis]
        first = torch.zeros_like(part.narrow(axis, 0, 1))
        before = torch.cat([first, part.narrow(axis, 0, part.shape[axis] - 1)], dim=axis)
        total = total + before - part
    return total

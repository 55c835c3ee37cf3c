"""Trees of vessels and airways, and other sets of many small tubes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from bundle.data.anatomy.canvas import Box, Canvas, Paint
from bundle.data.anatomy.shapes import Matrix, Points, Shape, Vector
from bundle.data.anatomy.variation import Draw
from bundle.fixed_tuples import triple

__all__ = ["Tubes", "grow_tree", "paint_tube_layers", "paint_tubes", "random_places", "tube_distance"]

_PATCH = 6  # voxels a side of the patches that segments are drawn in
_CHUNK = 4000  # patches at a time
_FAR_MM = 1e4


@dataclass(frozen=True)
class Tubes:
    """Straight tapered segments with round ends.

    Args:
        start: [S, 3] in mm.
        end: [S, 3] in mm.
        radius_start: [S] in mm.
        radius_end: [S] in mm.
        stretch: [S, 3] in mm, by which cross-sections are drawn out to either side, as a rib's are; None if round.
    """

    start: np.ndarray
    end: np.ndarray
    radius_start: np.ndarray
    radius_end: np.ndarray
    stretch: np.ndarray | None = None

    @classmethod
    def polyline(cls, places: Matrix | Sequence[np.ndarray], radii: Vector | float) -> Tubes:
        """Segments along one polyline of N corners with N radii, or one radius for all."""
        corners = np.asarray(places, dtype=float)
        widths = np.broadcast_to(np.asarray(radii, dtype=float), len(corners))
        return cls(corners[:-1], corners[1:], widths[:-1], widths[1:])

    @classmethod
    def joined(cls, parts: Sequence[Tubes]) -> Tubes:
        """All segments of several sets."""
        names = ["start", "end", "radius_start", "radius_end"]
        if any(part.stretch is not None for part in parts):
            parts = [part.stretched(np.zeros((len(part.start), 3))) if part.stretch is None else part for part in parts]
            names.append("stretch")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def stretched(self, by_mm: np.ndarray) -> Tubes:
        """The same with cross-sections drawn out by [S, 3] mm to either side."""
        return replace(self, stretch=by_mm)

    def times(self, factor: float) -> Tubes:
        """The same with radii larger by a factor."""
        return replace(self, radius_start=factor * self.radius_start, radius_end=factor * self.radius_end)

    def grown(self, by_mm: float) -> Tubes:
        """The same with radii larger by so many mm (at least 0.05 mm)."""
        first, last = np.maximum(self.radius_start + by_mm, 0.05), np.maximum(self.radius_end + by_mm, 0.05)
        return replace(self, radius_start=first, radius_end=last)

    def cut(self, length_mm: float) -> Tubes:
        """The same with segments no longer than ``length_mm``."""
        long = np.linalg.norm(self.end - self.start, axis=1)
        pieces = np.maximum(np.ceil(long / length_mm).astype(int), 1)
        owner = np.repeat(np.arange(len(pieces)), pieces)
        number = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        t0, t1 = number / pieces[owner], (number + 1) / pieces[owner]
        along, taper = self.end - self.start, self.radius_end - self.radius_start
        return Tubes(
            self.start[owner] + t0[:, None] * along[owner],
            self.start[owner] + t1[:, None] * along[owner],
            self.radius_start[owner] + t0 * taper[owner],
            self.radius_start[owner] + t1 * taper[owner],
            None if self.stretch is None else self.stretch[owner],
        )


def tube_distance(canvas: Canvas, tubes: Tubes, reach_mm: float | None = None) -> tuple[Box, Tensor] | None:
    """Signed distance to the nearest tube, for :meth:`Canvas.blend_layers`.

    Args:
        canvas: the grid.
        tubes: any number of them; each is evaluated near itself only.
        reach_mm: distances are needed up to; None takes one voxel.

    Returns:
        The box of voxels that they touch and the distance in mm in it, ``1e4`` farther away than ``reach_mm``; None
        if they are all outside the grid.
    """
    return _rasterise(canvas, tubes, canvas.blur_mm if reach_mm is None else reach_mm)


def paint_tube_layers(
    canvas: Canvas,
    tubes: Tubes,
    layers: Sequence[tuple[float, Paint | Tensor | float]],
    where: Tensor | str | None = None,
) -> None:
    """Paints tubes in layers parallel to their surface, as :meth:`Canvas.paint_layers` does with a shape."""
    found = _rasterise(canvas, tubes, canvas.blur_mm)
    if found is not None:
        canvas.blend_layers(*found, layers, where)


def paint_tubes(canvas: Canvas, tubes: Tubes, paint: Paint | Tensor | float, where: Tensor | str | None = None) -> None:
    """Paints tubes; those thinner than a voxel keep their cross-section, so that their contrast fades."""
    found = _rasterise(canvas, tubes, canvas.blur_mm, as_coverage=True)
    if found is not None:
        canvas.blend(found[0], -found[1], paint, where)


def _rasterise(canvas: Canvas, tubes: Tubes, reach_mm: float, as_coverage: bool = False) -> tuple[Box, Tensor] | None:
    """Distances, or minus the coverage, of all tubes: the least of all segments at each voxel of a box."""
    voxel = np.array(canvas.voxel_mm)
    tubes = tubes.cut(max(0.5 * _PATCH * float(voxel.min()), 4.0))
    count = np.array(canvas.shape)
    pad = np.maximum(tubes.radius_start, tubes.radius_end)[:, None] + reach_mm
    pad = pad if tubes.stretch is None else pad + np.abs(tubes.stretch)
    middle, half = canvas.where_is((tubes.start + tubes.end) / 2, np.abs(tubes.end - tubes.start) / 2 + pad)
    first = np.floor((middle - half) / voxel + (count - 1) / 2).astype(int)
    last = np.ceil((middle + half) / voxel + (count - 1) / 2).astype(int)
    keep = np.all((last >= 0) & (first < count), axis=1)
    if not keep.any():
        return None
    first, last = np.maximum(first[keep], 0), np.minimum(last[keep], count - 1)
    box = triple(slice(int(a), int(b) + 1) for a, b in zip(first.min(axis=0), last.max(axis=0)))
    size = [s.stop - s.start for s in box]
    last = last - first.min(axis=0)
    first = first - first.min(axis=0)
    result = torch.full((size[0] * size[1] * size[2],), 0.0 if as_coverage else _FAR_MM, device=canvas.device)
    # each segment's box in patches of one size, so that all are computed together
    patches = (last - first) // _PATCH + 1
    total = patches.prod(axis=1)
    owner = np.repeat(np.arange(len(total)), total)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(total) - total, total)
    grid = patches[owner]
    place = np.stack(
        [number // (grid[:, 1] * grid[:, 2]), number // grid[:, 2] % grid[:, 1], number % grid[:, 2]], axis=1
    )
    corner = torch.from_numpy(first[owner] + place * _PATCH).to(canvas.device)
    stop = torch.from_numpy(last[owner]).to(canvas.device)
    columns = [tubes.start, tubes.end - tubes.start, tubes.radius_start[:, None], tubes.radius_end[:, None]]
    parts = np.concatenate(columns if tubes.stretch is None else [*columns, tubes.stretch], axis=1)[keep]
    segments = torch.from_numpy(parts[owner].astype(np.float32)).to(canvas.device)
    side = torch.arange(_PATCH, device=canvas.device)
    points = canvas.points(box)
    x, y, z = (part.expand(size).reshape(-1) for part in (points.x, points.y, points.z))
    for begin in range(0, len(corner), _CHUNK):
        rows = slice(begin, begin + _CHUNK)
        # patches that reach beyond the box repeat its last voxels, which does no harm
        i, j, k = torch.minimum(corner[rows, :, None] + side, stop[rows, :, None]).unbind(1)
        flat = ((i[:, :, None, None] * size[1] + j[:, None, :, None]) * size[2] + k[:, None, None, :]).flatten(1)
        x0, y0, z0, ax, ay, az, first_radius, last_radius, *wide = segments[rows].T[:, :, None]
        u, v, w = x[flat] - x0, y[flat] - y0, z[flat] - z0
        t = ((u * ax + v * ay + w * az) / (ax * ax + ay * ay + az * az).clamp(min=1e-6)).clamp_(0, 1)
        radius = first_radius + (last_radius - first_radius) * t
        u, v, w = u - t * ax, v - t * ay, w - t * az
        if wide:
            ux, uy, uz = wide
            up = ((u * ux + v * uy + w * uz) / (ux * ux + uy * uy + uz * uz).clamp(min=1e-6)).clamp_(-1, 1)
            u, v, w = u - up * ux, v - up * uy, w - up * uz
        distance = u.square_().add_(v.square_()).add_(w.square_()).sqrt_() - radius
        if as_coverage:
            distance = -canvas.coverage(distance) * _thin(radius, canvas.blur_mm)
        result.scatter_reduce_(0, flat.flatten(), distance.flatten(), "amin")
    return box, result.reshape(size)


def _thin(radius: Tensor, blur: float) -> Tensor:
    """What the coverage of a tube must be multiplied by for its cross-section to be pi r^2.

    The blended profile holds pi (r^2 + w^2 / 12) for r > w / 2, and the cone pi (r + w/2)^2 (1/2 + r/w) / 3 below.
    """
    wide = radius * radius + blur * blur / 12
    cone = (radius + blur / 2) ** 2 * (0.5 + radius / blur) / 3
    held = torch.where(radius > blur / 2, wide, cone)
    return torch.where(radius > 2 * blur, torch.ones_like(radius), radius * radius / held.clamp(min=1e-9))


def random_places(shape: Shape, count: int, draw: Draw, depth_mm: float = 0.0) -> np.ndarray:
    """[N, 3] points in mm, evenly in a shape at least ``depth_mm`` under its surface; N is about ``count``."""
    low, high = np.array(shape.low), np.array(shape.high)
    found: list[np.ndarray] = []
    total = 0
    for _ in range(12):
        places = low + draw.generator.random((4 * count, 3)) * (high - low)
        inside = shape.distance(Points.at(torch.from_numpy(places).float())) < -depth_mm
        found.append(places[inside.numpy()])
        total += len(found[-1])
        if total >= count:
            break
    return np.concatenate(found)[:count]


def grow_tree(
    root: Sequence[float],
    places: np.ndarray,
    draw: Draw,
    radius_mm: float,
    smallest_mm: float = 0.4,
    murray: float = 2.7,
    reach: float = 0.55,
) -> Tubes:
    """A tree that supplies places: they are halved again and again, and a branch goes towards every half.

    Radii follow Murray's law, r^murray is shared by the places supplied (Murray 1926, PNAS 12:207).

    Args:
        root: (x, y, z) in mm where the tree begins.
        places: [N, 3] points in mm that it supplies.
        draw: for the irregularity.
        radius_mm: at the root.
        smallest_mm: radius of the thinnest branches drawn.
        murray: exponent; 3 in theory, less in lungs and liver.
        reach: how far a branch goes towards the middle of its points before it forks, as a share.
    """
    starts, ends, first, last = [], [], [], []
    everything = max(len(places), 1)
    todo = [(np.asarray(root, dtype=float), np.asarray(places, dtype=float), radius_mm)]
    while todo:
        start, group, before = todo.pop()
        if len(group) == 0:
            continue
        radius = max(radius_mm * (len(group) / everything) ** (1 / murray), smallest_mm)
        middle = group.mean(axis=0) if len(group) > 1 else group[0]
        way = middle - start
        share = 1.0 if len(group) == 1 else reach
        end = start + share * way + 0.06 * math.sqrt(way @ way) * draw.normals(3)
        starts.append(start)
        ends.append(end)
        first.append(min(before, 1.25 * radius))
        last.append(radius)
        if len(group) == 1:
            continue
        if len(group) == 2:
            todo += [(end, group[:1], radius), (end, group[1:], radius)]
            continue
        spread = group - middle
        scatter = spread.T @ spread
        direction = scatter @ (scatter @ draw.normals(3))  # near the longest axis, as a power iteration finds it
        order = np.argsort(spread @ direction)
        cut = min(max(round(draw.uniform(0.35, 0.65) * len(group)), 1), len(group) - 1)
        todo.append((end, group[order[:cut]], radius))
        todo.append((end, group[order[cut:]], radius))
    if not starts:
        return Tubes(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0), np.zeros(0))
    return Tubes(np.array(starts), np.array(ends), np.array(first), np.array(last))

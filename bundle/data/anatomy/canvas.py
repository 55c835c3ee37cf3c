"""The volume that a body is painted on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bundle.data.anatomy.shapes import Points, Shape
from bundle.data.anatomy.variation import Draw, lattice_field
from bundle.fixed_tuples import triple

__all__ = ["AIR_HU", "Box", "Canvas", "Paint"]

AIR_HU = -1000.0
_SLAB_VOXELS = 2**19  # at a time on a CPU: temporaries stay in its caches, and memory is not claimed anew for each
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Paint:
    """What a region is filled with.

    Args:
        hu: mean.
        texture: standard deviation in HU of its texture.
        kind: which of the canvas's ``textures`` it has.
    """

    hu: float
    texture: float = 0.0
    kind: str = "tissue"


class Canvas:
    """HU on a grid in patient millimetres (LPS: x to the left, y to the back, z to the head), air at first.

    Shapes are given in body coordinates. The centre of the grid looks at ``centre_mm`` of the body; the body may be
    turned about z and is displaced smoothly, so that no drawn ellipsoid comes out as one. Painting blends over one
    voxel, as partial volume does, so that a coarse grid shows about what a fine one shows on average.

    Args:
        shape: voxels (X, Y, Z).
        voxel_mm: voxel size (x, y, z).
        device: where everything is computed.
        centre_mm: body coordinates at the centre of the grid.
    """

    def __init__(
        self,
        shape: Sequence[int],
        voxel_mm: Sequence[float],
        device: torch.device | str = "cpu",
        centre_mm: Sequence[float] = (0.0, 0.0, 0.0),
    ) -> None:
        self.shape = tuple(int(n) for n in shape)
        self.voxel_mm = tuple(float(v) for v in voxel_mm)
        self.device = torch.device(device)
        self.blur_mm = math.prod(self.voxel_mm) ** (1 / 3)
        self.hu = torch.full(self.shape, AIR_HU, device=self.device)
        self.textures: dict[str, Tensor] = {}
        self.regions: dict[str, Tensor] = {}
        self.support_mm: float | None = None  # y of the body's lowest point on the couch, where a painter knows it
        self.with_surroundings = True
        self.place(centre_mm)

    def place(self, centre_mm: Sequence[float], turn_degrees: float = 0.0) -> None:
        """Looks at another part of the body; before anything is painted.

        Args:
            centre_mm: body coordinates (x, y, z) at the centre of the grid.
            turn_degrees: by which the patient is rolled about z, from x towards y.
        """
        self.centre_mm = tuple(float(c) for c in centre_mm)
        self.turn_degrees = float(turn_degrees)
        # grid coordinates relative to the centre, and the body's (before turning) along every axis
        self._steps = [
            (torch.arange(n, device=self.device) - (n - 1) / 2) * v for n, v in zip(self.shape, self.voxel_mm)
        ]
        self.axes = [c + s for c, s in zip(self.centre_mm, self._steps)]
        cosine, sine = self._turn()
        x, y = self._steps[0][:, None, None], self._steps[1][None, :, None]
        # body = centre + turned^T (grid - centre)
        self._x = self.centre_mm[0] + cosine * x + sine * y
        self._y = self.centre_mm[1] - sine * x + cosine * y
        self._z = self.axes[2][None, None, :]
        self._margin = (0.0, 0.0, 0.0)

    def displace(self, draw: Draw, amplitudes_mm: Sequence[float], spacings_mm: Sequence[float]) -> None:
        """Gives the coordinates smooth random displacements.

        Args:
            draw: gives the fields' keys.
            amplitudes_mm: standard deviation of each octave.
            spacings_mm: size of its details; several times the amplitude, or the coordinates fold.
        """
        keys = [[draw.key() for _ in range(3)] for _ in spacings_mm]
        moves = [
            sum(
                (
                    lattice_field(self.axes, s, octave[axis]).clamp_(-2.5, 2.5).mul_(a)
                    for a, s, octave in zip(amplitudes_mm, spacings_mm, keys)
                ),
                torch.zeros(()),
            )
            for axis in range(3)
        ]
        self._x, self._y, self._z = self._x + moves[0], self._y + moves[1], self._z + moves[2]
        self._margin = triple(float(move.abs().max()) for move in moves)

    @property
    def all_voxels(self) -> Box:
        """The box of the whole grid."""
        return triple(slice(0, count) for count in self.shape)

    def points(self, box: Box | None = None) -> Points:
        """Displaced body coordinates of the voxels in a box (all voxels if None)."""
        box = box or (slice(None),) * 3
        x, y, z = (
            part[tuple(s if part.shape[a] > 1 or self.shape[a] == 1 else slice(None) for a, s in enumerate(box))]
            for part in (self._x, self._y, self._z)
        )
        return Points(x, y, z, self.axes[2][box[2]][None, None, :])

    def box(self, low: Sequence[float], high: Sequence[float], margin_mm: float = 0.0) -> Box | None:
        """The voxels that a box in body mm can touch, or None if it is outside the grid."""
        cosine, sine = self._turn()
        low = [v - m - margin_mm - c for v, m, c in zip(low, self._margin, self.centre_mm)]
        high = [v + m + margin_mm - c for v, m, c in zip(high, self._margin, self.centre_mm)]
        xs = [cosine * x - sine * y for x in (low[0], high[0]) for y in (low[1], high[1])]
        ys = [sine * x + cosine * y for x in (low[0], high[0]) for y in (low[1], high[1])]
        ends = ((min(xs), max(xs)), (min(ys), max(ys)), (low[2], high[2]))
        slices = []
        for (first, last), count, voxel in zip(ends, self.shape, self.voxel_mm):
            start = max(math.floor(first / voxel + (count - 1) / 2), 0)
            stop = min(math.ceil(last / voxel + (count - 1) / 2) + 1, count)
            if stop <= start:
                return None
            slices.append(slice(start, stop))
        return triple(slices)

    def slabs(self, box: Box) -> Iterator[tuple[Box, slice]]:
        """Cuts a box into slabs along x that are quick to compute one after another; on a GPU the whole is quicker.

        Args:
            box: voxels.

        Yields:
            A part of the box, and its rows counted from the box's own first row.
        """
        first, last, _ = box[0].indices(self.shape[0])
        area = math.prod(len(range(*s.indices(n))) for s, n in zip(box[1:], self.shape[1:]))
        rows = max(_SLAB_VOXELS // max(area, 1), 1) if self.device.type == "cpu" else last - first
        for start in range(first, last, max(rows, 1)):
            stop = min(start + rows, last)
            yield (slice(start, stop), box[1], box[2]), slice(start - first, stop - first)

    def where_is(self, places: np.ndarray, half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where small boxes of the body come to lie on the grid.

        Args:
            places: [N, 3] their middles in body mm.
            half: [N, 3] half their sizes; the signs do not matter.

        Returns:
            Middles in mm from the grid's centre, and half-sizes that hold what the displacement does to them.
        """
        cosine, sine = self._turn()
        half = np.abs(half)

        def turned(moved: np.ndarray) -> np.ndarray:
            x, y, z = (moved - np.array(self.centre_mm)).T
            return np.stack([cosine * x - sine * y, sine * x + cosine * y, z], axis=1)

        spread = np.stack(
            [cosine * half[:, 0] + abs(sine) * half[:, 1], abs(sine) * half[:, 0] + cosine * half[:, 1], half[:, 2]], 1
        )
        if not any(self._margin):
            return turned(places), spread
        # body = base + move(base): look the move up at the place itself, then once more where that leads
        count = np.array(self.shape)
        found = turned(places)
        for _ in range(2):
            index = np.rint(found / np.array(self.voxel_mm) + (count - 1) / 2).astype(int)
            rows = torch.from_numpy(np.clip(index, 0, count - 1)).to(self.device).unbind(1)
            here = np.stack([part[rows].cpu().numpy() for part in (self._x, self._y, self._z)], axis=1)
            base = np.stack([step[i].cpu().numpy() for step, i in zip(self._steps, rows)], axis=1)
            base_x = self.centre_mm[0] + cosine * base[:, 0] + sine * base[:, 1]
            base_y = self.centre_mm[1] - sine * base[:, 0] + cosine * base[:, 1]
            move = here - np.stack([base_x, base_y, self.centre_mm[2] + base[:, 2]], axis=1)
            found = turned(places - move)
        return found, 1.2 * spread

    def coverage(self, distance: Tensor) -> Tensor:
        """The share of a voxel that is inside, from the signed distance of its centre in mm."""
        return (0.5 - distance / self.blur_mm).clamp(0, 1)

    def paint(self, shape: Shape, paint: Paint | Tensor | float, where: Tensor | str | None = None) -> None:
        """Fills a shape.

        Args:
            shape: what to fill.
            paint: a :class:`Paint`, a number of HU, or HU [X, Y, Z] for the whole grid.
            where: [X, Y, Z] in [0, 1], or the name of a region, that the paint is held to.
        """
        self.paint_layers(shape, [(0.0, paint)], where)

    def paint_layers(
        self, shape: Shape, layers: Sequence[tuple[float, Paint | Tensor | float]], where: Tensor | str | None = None
    ) -> None:
        """Fills a shape with layers parallel to its surface; thin ones keep their thickness on coarse grids.

        Args:
            shape: what to fill.
            layers: (depth in mm under the surface at which it begins, paint), outermost first.
            where: as for :meth:`paint`.
        """
        box = self.box(shape.low, shape.high, self.blur_mm)
        if box is not None:
            for part, _ in self.slabs(box):
                self._blend_slab(part, shape.distance(self.points(part)), layers, where)

    def blend_layers(
        self,
        box: Box,
        distance: Tensor,
        layers: Sequence[tuple[float | Tensor, Paint | Tensor | float]],
        where: Tensor | str | None = None,
    ) -> None:
        """Like :meth:`paint_layers` for distances that are known: mm, in the shape of the box."""
        for part, rows in self.slabs(box):
            inner = [(_rows(depth, rows), self._own_rows(paint, rows)) for depth, paint in layers]
            self._blend_slab(part, _rows(distance, rows), inner, where)

    def _blend_slab(
        self,
        box: Box,
        distance: Tensor,
        layers: Sequence[tuple[float | Tensor, Paint | Tensor | float]],
        where: Tensor | str | None,
    ) -> None:
        covers = [self.coverage(distance + depth) for depth, _ in layers]
        held = self._held(where, box)
        if held is not None:
            covers = [cover * held for cover in covers]
        target = self.hu[box]
        result = target * (1 - covers[0])
        for number, (_, paint) in enumerate(layers):
            share = covers[number] - covers[number + 1] if number + 1 < len(covers) else covers[number]
            result = result + share * self.values(paint, box)
        target.copy_(result.expand(target.shape))

    def blend(self, box: Box, cover: Tensor, paint: Paint | Tensor | float, where: Tensor | str | None = None) -> None:
        """Blends paint into a box by a known coverage in [0, 1], in the shape of the box."""
        for part, rows in self.slabs(box):
            self._blend_part(part, _rows(cover, rows), self._own_rows(paint, rows), where)

    def _own_rows(self, paint: Paint | Tensor | float, rows: slice) -> Paint | Tensor | float:
        """A paint for a slab of a box: HU that were given for the box are cut, those for the grid are not."""
        return paint if not isinstance(paint, Tensor) or paint.shape == self.shape else _rows(paint, rows)

    def _blend_part(self, box: Box, cover: Tensor, paint: Paint | Tensor | float, where: Tensor | str | None) -> None:
        held = self._held(where, box)
        cover = cover if held is None else cover * held
        target = self.hu[box]
        target.add_(cover * (self.values(paint, box) - target))

    def values(self, paint: Paint | Tensor | float, box: Box) -> Tensor | float:
        """HU of a paint in a box."""
        if isinstance(paint, Tensor):
            return paint[box] if paint.shape == self.shape else paint
        if isinstance(paint, Paint):
            if paint.texture and paint.kind in self.textures:
                return paint.hu + paint.texture * self.textures[paint.kind][box]
            return paint.hu
        return float(paint)

    def mark(self, name: str, shape: Shape) -> None:
        """Adds a shape's coverage to a named region, [X, Y, Z] in [0, 1]."""
        region = self.regions.setdefault(name, torch.zeros(self.shape, device=self.device))
        box = self.box(shape.low, shape.high, self.blur_mm)
        if box is not None:
            for part, _ in self.slabs(box):
                region[part] = torch.maximum(region[part], self.coverage(shape.distance(self.points(part))))

    def _held(self, where: Tensor | str | None, box: Box) -> Tensor | None:
        if where is None:
            return None
        return (self.regions[where] if isinstance(where, str) else where)[box]

    def _turn(self) -> tuple[float, float]:
        angle = math.radians(self.turn_degrees)
        return math.cos(angle), math.sin(angle)


def _rows(value: Any, rows: slice) -> Any:
    """Rows of a tensor that has more than one; anything else as it is."""
    return value[rows] if isinstance(value, Tensor) and value.dim() == 3 and len(value) > 1 else value

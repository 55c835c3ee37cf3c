"""A canvas seen in the coordinates of one part of the body."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from bundle.data.anatomy.canvas import Box, Canvas, Paint
from bundle.data.anatomy.shapes import Points, Shape, interpolate
from bundle.data.anatomy.variation import lattice_field
from bundle.data.anatomy.vessels import Tubes, paint_tubes
from bundle.fixed_tuples import triple

__all__ = ["Bend", "Frame", "joint_distance", "noise"]


@dataclass(frozen=True)
class Bend:
    """A curved long axis: by how far the part lies sideways of its straight shape at every level.

    Args:
        levels: K increasing z in mm, in the part's coordinates.
        x: K displacements in mm.
        y: K displacements in mm.
    """

    levels: Sequence[float]
    x: Sequence[float]
    y: Sequence[float]


class Frame(Canvas):
    """Paints on another canvas in a part's own coordinates.

    A point q of the part lies at ``origin + turned (scale * (q + bend(q_z)))`` of the canvas. Lengths in the part are
    its own millimetres, so that one description serves all sizes; a negative scale along x mirrors a limb.

    Args:
        canvas: what is painted on, a frame perhaps; displaced before.
        origin_mm: (x, y, z) of the part's origin.
        turned: rotation from the part's axes to the canvas's, 3 x 3; None for none.
        scale: (x, y, z) size of the part's mm.
        bend: of the long axis z.
    """

    def __init__(
        self,
        canvas: Canvas,
        origin_mm: Sequence[float],
        turned: Sequence[Sequence[float]] | None = None,
        scale: Sequence[float] = (1.0, 1.0, 1.0),
        bend: Bend | None = None,
    ) -> None:
        self.base = canvas
        self.shape, self.voxel_mm, self.device = canvas.shape, canvas.voxel_mm, canvas.device
        self.hu, self.textures, self.regions, self.axes = canvas.hu, canvas.textures, canvas.regions, canvas.axes
        self.origin_mm = tuple(float(v) for v in origin_mm)
        self.turned = None if turned is None else np.asarray(turned, dtype=float)
        self.scale = tuple(float(v) for v in scale)
        self.bend = bend
        self.blur_mm = canvas.blur_mm / abs(self.scale[0] * self.scale[1] * self.scale[2]) ** (1 / 3)
        seen = canvas.points()
        parts = [p - o for p, o in zip((seen.x, seen.y, seen.z), self.origin_mm)]
        if self.turned is not None:
            parts = [sum((float(self.turned[a, b]) * parts[a] for a in range(3)), torch.zeros(())) for b in range(3)]
        parts = [p / s for p, s in zip(parts, self.scale)]
        self._level = (seen.level - self.origin_mm[2]) / self.scale[2]
        if bend is not None:
            parts[0] = parts[0] - interpolate(bend.levels, bend.x, self._level)
            parts[1] = parts[1] - interpolate(bend.levels, bend.y, self._level)
        self._x, self._y, self._z = parts

    def points(self, box: Box | None = None) -> Points:
        """Coordinates in the part of the voxels in a box (all voxels if None)."""
        box = box or (slice(None),) * 3
        x, y, z, level = (
            part[tuple(s if part.shape[a] == self.shape[a] else slice(None) for a, s in enumerate(box))]
            for part in (self._x, self._y, self._z, self._level)
        )
        return Points(x, y, z, level)

    def box(self, low: Sequence[float], high: Sequence[float], margin_mm: float = 0.0) -> Box | None:
        """The voxels that a box in the part's mm can touch, or None if it is outside the grid."""
        first, last = (np.clip(np.array(v, dtype=float), -1e4, 1e4) for v in (low, high))
        if self.bend is not None:
            reach = self._bend_in(self.bend, first, last)
            first[:2], last[:2] = first[:2] + reach[0], last[:2] + reach[1]
        corners = self._outward(np.array(list(itertools.product(*zip(first, last)))))
        return self.base.box(corners.min(0), corners.max(0), margin_mm * max(abs(s) for s in self.scale))

    def to_canvas(self, places: np.ndarray) -> np.ndarray:
        """[N, 3] points of the part in mm, in the coordinates of the canvas."""
        places = np.array(places, dtype=float)
        if self.bend is not None:
            places[:, :2] += _bend_at(self.bend, places[:, 2])
        return self._outward(places)

    def paint_tubes(self, tubes: Tubes, paint: Paint | Tensor | float, where: Tensor | str | None = None) -> None:
        """Paints thin tubes given in the part's mm."""
        size = abs(self.scale[0] * self.scale[1] * self.scale[2]) ** (1 / 3)
        tubes = tubes.cut(12.0) if self.bend is not None else tubes
        moved = replace(
            tubes,
            start=self.to_canvas(tubes.start),
            end=self.to_canvas(tubes.end),
            radius_start=tubes.radius_start * size,
            radius_end=tubes.radius_end * size,
            stretch=None if tubes.stretch is None else self._outward(tubes.stretch) - np.array(self.origin_mm),
        )
        if isinstance(self.base, Frame):
            self.base.paint_tubes(moved, paint, where)
        else:
            paint_tubes(self.base, moved, paint, where)

    def _outward(self, places: np.ndarray) -> np.ndarray:
        places = places * np.array(self.scale)
        if self.turned is not None:
            places = places @ self.turned.T
        return places + np.array(self.origin_mm)

    def _bend_in(self, bend: Bend, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        slack = 0.0
        if self.turned is not None:  # the bend follows the canvas's slices, which a turned part crosses
            slack = float(np.abs(self.turned[2, :2]).sum() * np.abs(np.concatenate([low[:2], high[:2]])).max())
        reach = _bend_at(bend, np.linspace(low[2] - slack, high[2] + slack, 17))
        return reach.min(0) - 1.0, reach.max(0) + 1.0


def _bend_at(bend: Bend, level: np.ndarray) -> np.ndarray:
    at = torch.as_tensor(np.asarray(level), dtype=torch.float64)
    return torch.stack([interpolate(bend.levels, v, at) for v in (bend.x, bend.y)], -1).numpy()


def joint_distance(canvas: Canvas, box: Box, parts: Sequence[tuple[Shape, float]]) -> Tensor:
    """Signed distance in mm to the smooth union of many parts, each evaluated near itself only.

    Args:
        canvas: the grid.
        box: where; the result has its shape, and 1e3 far from all parts.
        parts: (shape, width in mm of the seam with what came before), in this order.
    """
    result = torch.full([s.stop - s.start for s in box], 1e3, device=canvas.device)
    for shape, width in parts:
        near = canvas.box(shape.low, shape.high, max(width, 2 * canvas.blur_mm))
        if near is None:
            continue
        near = triple(slice(max(n.start, b.start), min(n.stop, b.stop)) for n, b in zip(near, box))
        if any(n.stop <= n.start for n in near):
            continue
        inner = tuple(slice(n.start - b.start, n.stop - b.start) for n, b in zip(near, box))
        distance = shape.distance(canvas.points(near))
        before = result[inner]
        if width > 0:
            h = (width - (before - distance).abs()).clamp_(min=0)
            result[inner] = torch.minimum(before, distance) - h.square_().mul_(0.25 / width)
        else:
            result[inner] = torch.minimum(before, distance)
    return result


def noise(canvas: Canvas, box: Box, spacing_mm: Sequence[float] | float, key: int) -> Tensor:
    """Smooth random field of zero mean and unit variance in a box of a canvas."""
    return lattice_field([axis[part] for axis, part in zip(canvas.axes, box)], spacing_mm, key)

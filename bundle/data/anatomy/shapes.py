"""Signed distance functions of the solids that bodies are painted from.

A shape tells the distance in mm from points to its surface, negative inside, and a box in mm outside of which it
is never negative. Distances are exact for tubes, boxes and half-spaces; for ellipsoids and columns they are the
first-order estimate f / |grad f|, which is right near the surface, where it decides the partial volume.
Axes are the patient's: x to the left, y to the back, z to the head.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from bundle.fixed_tuples import triple

__all__ = [
    "Points",
    "Shape",
    "box",
    "column",
    "difference",
    "ellipsoid",
    "half_space",
    "interpolate",
    "intersection",
    "offset",
    "rotation",
    "shell",
    "smooth_difference",
    "smooth_union",
    "superellipsoid",
    "tube",
    "union",
]

Vector = Sequence[float] | np.ndarray
Matrix = Sequence[Sequence[float]] | np.ndarray
_INFINITY = 1e5


@dataclass(frozen=True)
class Points:
    """Where shapes are evaluated, in mm: four tensors that broadcast to one shape.

    Args:
        x: to the patient's left, after the canvas's elastic displacement.
        y: to the back, likewise.
        z: to the head, likewise.
        level: z before the displacement, one value per slice; profiles along the body are looked up in it.
    """

    x: Tensor
    y: Tensor
    z: Tensor
    level: Tensor

    @classmethod
    def at(cls, places: Tensor) -> Points:
        """Points from coordinates [..., 3] in mm."""
        x, y, z = places.unbind(-1)
        return cls(x, y, z, z)


@dataclass(frozen=True)
class Shape:
    """A solid.

    Args:
        distance: gives the signed distance in mm at points, negative inside.
        low: smallest x, y, z in mm that it can reach.
        high: largest.
    """

    distance: Callable[[Points], Tensor]
    low: tuple[float, float, float]
    high: tuple[float, float, float]


def rotation(x_degrees: float = 0.0, y_degrees: float = 0.0, z_degrees: float = 0.0) -> list[list[float]]:
    """The matrix Rz Ry Rx of three rotations about the patient's axes, right-handed."""
    a, b, c = (math.radians(v) for v in (x_degrees, y_degrees, z_degrees))
    ca, sa, cb, sb, cc, sc = math.cos(a), math.sin(a), math.cos(b), math.sin(b), math.cos(c), math.sin(c)
    return [
        [cc * cb, cc * sb * sa - sc * ca, cc * sb * ca + sc * sa],
        [sc * cb, sc * sb * sa + cc * ca, sc * sb * ca - cc * sa],
        [-sb, cb * sa, cb * ca],
    ]


def ellipsoid(centre: Vector, radii: Vector, turned: Matrix | None = None) -> Shape:
    """An ellipsoid.

    Args:
        centre: x, y, z in mm.
        radii: semi-axes in mm.
        turned: rotation from the ellipsoid's own axes to the patient's.
    """
    low, high = _turned_bounds(centre, radii, turned, ellipsoidal=True)

    def distance(points: Points) -> Tensor:
        a, b, c = (v / r for v, r in zip(_local(points, centre, turned), radii))
        norm_squared = a * a + b * b + c * c
        gradient = ((a / radii[0]) ** 2 + (b / radii[1]) ** 2 + (c / radii[2]) ** 2).sqrt()
        norm = norm_squared.sqrt()
        return norm * (norm - 1) / gradient.clamp(min=1e-6) - (norm < 1e-3) * min(radii)

    return Shape(distance, low, high)


def superellipsoid(centre: Vector, radii: Vector, exponent: float, turned: Matrix | None = None) -> Shape:
    """The solid |x/a|^p + |y/b|^p + |z/c|^p < 1: p = 2 is an ellipsoid, a large p nearly a box.

    Args:
        centre: x, y, z in mm.
        radii: semi-axes in mm.
        exponent: p.
        turned: rotation from the solid's own axes to the patient's.
    """
    low, high = _turned_bounds(centre, radii, turned, ellipsoidal=False)

    def distance(points: Points) -> Tensor:
        local = [(v / r).abs().clamp(min=1e-4) for v, r in zip(_local(points, centre, turned), radii)]
        powers = [v ** (exponent - 1) for v in local]
        total = local[0] * powers[0] + local[1] * powers[1] + local[2] * powers[2]
        norm = total ** (1 / exponent)
        gradient = ((powers[0] / radii[0]) ** 2 + (powers[1] / radii[1]) ** 2 + (powers[2] / radii[2]) ** 2).sqrt()
        # d norm / dx = norm^(1 - p) |x/a|^(p - 1) / a
        return (norm - 1) * norm ** (exponent - 1) / gradient.clamp(min=1e-9)

    return Shape(distance, low, high)


def box(centre: Vector, half: Vector, turned: Matrix | None = None, rounding: float = 0.0) -> Shape:
    """A box of half-sizes ``half`` (mm) whose edges are rounded with a radius of ``rounding`` mm."""
    low, high = _turned_bounds(centre, half, turned, ellipsoidal=False)

    def distance(points: Points) -> Tensor:
        a, b, c = (v.abs() - (h - rounding) for v, h in zip(_local(points, centre, turned), half))
        outside = (a.clamp(min=0) ** 2 + b.clamp(min=0) ** 2 + c.clamp(min=0) ** 2).sqrt()
        return outside + torch.maximum(torch.maximum(a, b), c).clamp(max=0) - rounding

    return Shape(distance, low, high)


def half_space(normal: Vector, place: Vector) -> Shape:
    """All points behind the plane through ``place`` (mm) whose outward normal is ``normal``."""
    length = math.sqrt(sum(n * n for n in normal))
    n = [v / length for v in normal]
    shift = sum(a * b for a, b in zip(n, place))
    return Shape(
        lambda points: n[0] * points.x + n[1] * points.y + n[2] * points.z - shift,
        (-_INFINITY,) * 3,
        (_INFINITY,) * 3,
    )


def tube(places: Sequence[Vector], radii: Sequence[float]) -> Shape:
    """A tapered tube along a polyline with round ends; for many segments paint ``vessels.Tubes`` instead.

    Args:
        places: N corners (x, y, z) in mm, at least two.
        radii: N radii in mm, interpolated linearly along every segment.
    """
    low = triple(min(p[a] - r for p, r in zip(places, radii)) for a in range(3))
    high = triple(max(p[a] + r for p, r in zip(places, radii)) for a in range(3))

    def distances(points: Points) -> Iterator[Tensor]:
        for start, end, first, last in zip(places[:-1], places[1:], radii[:-1], radii[1:]):
            along = [b - a for a, b in zip(start, end)]
            length_squared = max(sum(v * v for v in along), 1e-6)
            x, y, z = points.x - start[0], points.y - start[1], points.z - start[2]
            t = ((x * along[0] + y * along[1] + z * along[2]) / length_squared).clamp(0, 1)
            away = ((x - t * along[0]) ** 2 + (y - t * along[1]) ** 2 + (z - t * along[2]) ** 2).sqrt()
            yield away - (first + (last - first) * t)

    return Shape(lambda points: reduce(torch.minimum, distances(points)), low, high)


def interpolate(levels: Sequence[float], values: Sequence[float], at: Tensor) -> Tensor:
    """Smooth curve through (level, value) knots: cubic Hermite with Catmull-Rom slopes, constant beyond the ends.

    Args:
        levels: K increasing positions.
        values: K values.
        at: positions, any shape.

    Returns:
        Values in the shape of ``at``.
    """
    knots = torch.tensor(levels, dtype=at.dtype, device=at.device)
    height = torch.tensor(values, dtype=at.dtype, device=at.device)
    if len(knots) == 1:
        return torch.full_like(at, float(values[0]))
    step = knots.diff()
    secant = height.diff() / step
    inner = (secant[1:] * step[:-1] + secant[:-1] * step[1:]) / (step[1:] + step[:-1])
    slope = torch.cat([secant[:1], inner, secant[-1:]])
    place = at.clamp(float(levels[0]), float(levels[-1])).contiguous()
    index = (torch.searchsorted(knots, place, right=True) - 1).clamp(0, len(knots) - 2)
    width = step[index]
    t = (place - knots[index]) / width
    s = 1 - t
    return (
        s * s * (1 + 2 * t) * height[index]
        + s * s * t * width * slope[index]
        + t * t * (3 - 2 * t) * height[index + 1]
        - t * t * s * width * slope[index + 1]
    )


def column(
    levels: Sequence[float],
    centre_x: Sequence[float],
    centre_y: Sequence[float],
    radius_x: Sequence[float],
    radius_front: Sequence[float],
    radius_back: Sequence[float] | None = None,
    exponent: float = 2.0,
    capped: bool = True,
) -> Shape:
    """A column along z: a superellipse at every level, with its own depth towards the front and the back.

    Args:
        levels: K increasing z in mm, the knots of the profiles.
        centre_x: K centres in mm.
        centre_y: K centres in mm.
        radius_x: K half-widths in mm.
        radius_front: K depths in mm from the centre towards -y.
        radius_back: K depths towards +y; None takes ``radius_front``.
        exponent: of the superellipse; 2 is an ellipse, 2.5 to 3 more like a rounded rectangle.
        capped: whether it ends at the first and last level, else it goes on for ever.
    """
    radius_back = radius_front if radius_back is None else radius_back
    widest, deepest = 1.05 * max(radius_x), 1.05 * max(*radius_front, *radius_back)
    ends = (levels[0], levels[-1]) if capped else (-_INFINITY, _INFINITY)
    low = (min(centre_x) - widest, min(centre_y) - deepest, ends[0])
    high = (max(centre_x) + widest, max(centre_y) + deepest, ends[1])

    def distance(points: Points) -> Tensor:
        level = points.level
        x0, y0, rx, front, back = (
            interpolate(levels, values, level) for values in (centre_x, centre_y, radius_x, radius_front, radius_back)
        )
        rx, front, back = (r.clamp(min=0.1) for r in (rx, front, back))
        y = points.y - y0
        inverse_y = torch.where(y < 0, 1 / front, 1 / back)
        across, deep = (points.x - x0) / rx, y * inverse_y
        if exponent == 2.0:
            norm_squared = across * across + deep * deep
            norm = norm_squared.sqrt()
            gradient = ((across / rx) ** 2 + (deep * inverse_y) ** 2).sqrt().clamp(min=1e-6)
            sideways = norm * (norm - 1) / gradient
        else:
            across, deep = across.abs().clamp(min=1e-4), deep.abs().clamp(min=1e-4)
            p, q = across ** (exponent - 1), deep ** (exponent - 1)
            norm_power = across * p + deep * q
            norm = norm_power ** (1 / exponent)
            gradient = ((p / rx) ** 2 + (q * inverse_y) ** 2).sqrt().clamp(min=1e-9)
            sideways = (norm - 1) * (norm_power / norm.clamp(min=1e-6)) / gradient
        ahead = interpolate(levels, radius_x, level + 1) + interpolate(levels, radius_front, level + 1)
        slope = 0.5 * (ahead - rx - front)  # mm of radius per mm of height: sloping sides are nearer than they look
        sideways = torch.maximum(sideways, -torch.minimum(torch.minimum(rx, front), back))
        sideways = sideways / (1 + slope * slope).sqrt().clamp(max=4)
        if not capped:
            return sideways
        return torch.maximum(sideways, torch.maximum(ends[0] - points.z, points.z - ends[1]))

    return Shape(distance, low, high)


def union(*shapes: Shape) -> Shape:
    """What is in any of the shapes."""

    def distance(points: Points) -> Tensor:
        result = shapes[0].distance(points)
        for shape in shapes[1:]:
            result = torch.minimum(result, shape.distance(points))
        return result

    return Shape(distance, *_joint_bounds(shapes))


def intersection(*shapes: Shape) -> Shape:
    """What is in all of the shapes."""

    def distance(points: Points) -> Tensor:
        result = shapes[0].distance(points)
        for shape in shapes[1:]:
            result = torch.maximum(result, shape.distance(points))
        return result

    low = triple(max(s.low[a] for s in shapes) for a in range(3))
    high = triple(min(s.high[a] for s in shapes) for a in range(3))
    return Shape(distance, low, high)


def difference(shape: Shape, *removed: Shape) -> Shape:
    """What is in ``shape`` and in none of the others."""

    def distance(points: Points) -> Tensor:
        result = shape.distance(points)
        for other in removed:
            result = torch.maximum(result, -other.distance(points))
        return result

    return Shape(distance, shape.low, shape.high)


def smooth_union(first: Shape, second: Shape, blend: float) -> Shape:
    """Union whose seam is filled over about ``blend`` mm (polynomial smooth minimum)."""
    low, high = _joint_bounds((first, second))
    pad = blend / 4

    def distance(points: Points) -> Tensor:
        a, b = first.distance(points), second.distance(points)
        h = (blend - (a - b).abs()).clamp(min=0)
        return torch.minimum(a, b) - h * h * (0.25 / blend)

    return Shape(distance, triple(v - pad for v in low), triple(v + pad for v in high))


def smooth_difference(shape: Shape, removed: Shape, blend: float) -> Shape:
    """Difference whose edge is rounded over about ``blend`` mm."""

    def distance(points: Points) -> Tensor:
        a, b = shape.distance(points), -removed.distance(points)
        h = (blend - (a - b).abs()).clamp(min=0)
        return torch.maximum(a, b) + h * h * (0.25 / blend)

    return Shape(distance, shape.low, shape.high)


def offset(shape: Shape, outward: float) -> Shape:
    """The shape grown by ``outward`` mm, or shrunk if negative."""
    grown = max(outward, 0.0)
    return Shape(
        lambda points: shape.distance(points) - outward,
        triple(v - grown for v in shape.low),
        triple(v + grown for v in shape.high),
    )


def shell(shape: Shape, thickness: float) -> Shape:
    """The layer of ``thickness`` mm under the shape's surface."""

    def distance(points: Points) -> Tensor:
        inside = shape.distance(points)
        return torch.maximum(inside, -thickness - inside)

    return Shape(distance, shape.low, shape.high)


def _local(points: Points, centre: Vector, turned: Matrix | None) -> tuple[Tensor, Tensor, Tensor]:
    x, y, z = points.x - centre[0], points.y - centre[1], points.z - centre[2]
    if turned is None:
        return x, y, z
    return triple(turned[0][a] * x + turned[1][a] * y + turned[2][a] * z for a in range(3))


def _turned_bounds(
    centre: Vector, radii: Vector, turned: Matrix | None, ellipsoidal: bool
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    reach = list(radii)
    if turned is not None:
        parts = [[abs(turned[a][b]) * radii[b] for b in range(3)] for a in range(3)]
        reach = [math.hypot(*part) if ellipsoidal else sum(part) for part in parts]
    return triple(c - r for c, r in zip(centre, reach)), triple(c + r for c, r in zip(centre, reach))


def _joint_bounds(shapes: Sequence[Shape]) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    low = triple(min(s.low[a] for s in shapes) for a in range(3))
    high = triple(max(s.high[a] for s in shapes) for a in range(3))
    return low, high

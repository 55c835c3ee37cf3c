"""Solids of limbs and heads that the general shapes lack."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import reduce

import torch
from torch import Tensor

from bundle.data.anatomy.shapes import Matrix, Points, Shape, Vector, interpolate
from bundle.fixed_tuples import triple

__all__ = ["barrel", "blob", "hinged", "mirrored", "prism", "ribbon", "ribbon_pieces", "symmetric"]


def blob(centre: Vector, radii: Vector, turned: Matrix | None = None) -> Shape:
    """An ellipsoid with a cheap distance, (|p| - 1) times a radius between the mean and the least.

    Args:
        centre: x, y, z in mm.
        radii: semi-axes in mm.
        turned: rotation from its own axes to the part's.
    """
    mean = (radii[0] * radii[1] * radii[2]) ** (1 / 3)
    size = 0.5 * (mean + min(radii))
    reach = radii
    if turned is not None:
        reach = [math.hypot(*(turned[a][b] * radii[b] for b in range(3))) for a in range(3)]

    def distance(points: Points) -> Tensor:
        x, y, z = points.x - centre[0], points.y - centre[1], points.z - centre[2]
        if turned is not None:
            x, y, z = (turned[0][a] * x + turned[1][a] * y + turned[2][a] * z for a in range(3))
        square = (x / radii[0]).square() + (y / radii[1]).square() + (z / radii[2]).square()
        return square.sqrt_().sub_(1).mul_(size)

    return Shape(distance, triple(c - r for c, r in zip(centre, reach)), triple(c + r for c, r in zip(centre, reach)))


def ribbon(places: Sequence[Vector], half_thickness: Sequence[float], half_height: Sequence[float], up: int) -> Shape:
    """A tube along a polyline with an elliptic cross-section.

    Args:
        places: N corners (x, y, z) in mm.
        half_thickness: N half-widths in mm, across.
        half_height: N half-widths in mm along the axis ``up``.
        up: 0, 1 or 2.
    """
    wide = [max(a, b) for a, b in zip(half_thickness, half_height)]
    low = triple(min(p[a] - r for p, r in zip(places, wide)) for a in range(3))
    high = triple(max(p[a] + r for p, r in zip(places, wide)) for a in range(3))

    def distances(points: Points) -> Iterator[Tensor]:
        for n in range(len(places) - 1):
            start = places[n]
            along = [b - a for a, b in zip(start, places[n + 1])]
            length_squared = max(sum(v * v for v in along), 1e-6)
            away = [points.x - start[0], points.y - start[1], points.z - start[2]]
            t = sum((a * (v / length_squared) for a, v in zip(away, along) if v), torch.zeros(())).clamp_(0, 1)
            thick = _between(half_thickness[n], half_thickness[n + 1], t)
            ratio = thick / _between(half_height[n], half_height[n + 1], t)
            square = [(a - t * v if v else a).square() for a, v in zip(away, along)]
            tall = square.pop(up) * (ratio * ratio)
            flat = square[0] + square[1]
            norm = (flat + tall).sqrt_()
            # divided by the gradient of the squeezed norm
            slope = norm / (flat + tall * (ratio * ratio)).sqrt_().clamp_(min=1e-4)
            yield (norm - thick).mul_(slope.clamp_(0.2, 6.0))

    return Shape(lambda points: reduce(torch.minimum, distances(points)), low, high)


def _between(first: float, last: float, t: Tensor) -> Tensor | float:
    return first if first == last else first + (last - first) * t


def ribbon_pieces(
    places: Sequence[Vector], half_thickness: Sequence[float], half_height: Sequence[float], up: int
) -> list[Shape]:
    """The segments of a :func:`ribbon` one by one, to be evaluated near themselves only."""
    return [
        ribbon(places[n : n + 2], half_thickness[n : n + 2], half_height[n : n + 2], up) for n in range(len(places) - 1)
    ]


def prism(
    levels: Sequence[float],
    centre_x: Sequence[float],
    centre_y: Sequence[float],
    radius: Sequence[float],
    normals: Sequence[tuple[float, float]],
    rounding: float = 0.5,
    tilted: bool = False,
) -> Shape:
    """A column along z whose cross-section is a rounded polygon.

    Args:
        levels: K increasing z in mm; it ends at the first and last.
        centre_x: K centres in mm.
        centre_y: K centres in mm.
        radius: K radii in mm of the circle that the sides touch.
        normals: outward normals (x, y) of the sides, of any length; a longer one brings its side nearer.
        rounding: radius of the edges as a share of ``radius``.
        tilted: whether its levels are heights z of every point, as a part that is turned needs, not those of slices.
    """
    reach = 1.7 * max(radius)
    low = (min(centre_x) - reach, min(centre_y) - reach, levels[0])
    high = (max(centre_x) + reach, max(centre_y) + reach, levels[-1])

    def distance(points: Points) -> Tensor:
        level = points.z if tilted else points.level
        size = interpolate(levels, radius, level)
        x = points.x - interpolate(levels, centre_x, level)
        y = points.y - interpolate(levels, centre_y, level)
        sharp = 4.0 / rounding / size  # log-sum-exp is a smooth maximum
        total = sum((((a * x + b * y - size) * sharp).clamp(-30, 30).exp() for a, b in normals), torch.zeros(()))
        side = (total.log() / sharp).clamp(min=-2 * max(radius))
        return torch.maximum(side, torch.maximum(levels[0] - points.z, points.z - levels[-1]))

    return Shape(distance, low, high)


def barrel(
    levels: Sequence[float],
    centre_y: Sequence[float],
    half_width: Sequence[float],
    front: Sequence[float],
    back: Sequence[float],
    exponent: float = 2.0,
) -> Shape:
    """Like ``shapes.column`` about x = 0, for parts that are turned: its levels are heights z of every point.

    Args:
        levels: K increasing z in mm; it ends at the first and last.
        centre_y: K centres in mm.
        half_width: K half-widths in mm along x.
        front: K depths in mm towards -y.
        back: K depths in mm towards +y.
        exponent: of the superellipse.
    """
    step = 0.5
    heights = torch.arange(levels[0], levels[-1] + step, step, dtype=torch.float64)
    table = torch.stack([interpolate(levels, v, heights) for v in (centre_y, half_width, front, back)]).float()
    reach = float(table[1].max())
    low = (-reach, float((table[0] - table[2]).min()), levels[0])
    high = (reach, float((table[0] + table[3]).max()), levels[-1])

    def distance(points: Points) -> Tensor:
        place = ((points.z - levels[0]) / step + 0.5).clamp(0, len(heights) - 1).long()
        middle, wide, ahead, behind = (row[place] for row in table.to(place.device))
        y = points.y - middle
        deep = torch.where(y < 0, ahead, behind)
        across, depth = (points.x / wide).square_(), (y / deep).square_()
        if exponent != 2.0:
            across, depth = across ** (0.5 * exponent), depth ** (0.5 * exponent)
        norm = (across + depth).sqrt_() if exponent == 2.0 else (across + depth) ** (1 / exponent)
        side = norm.sub_(1).mul_(0.75 * torch.minimum(wide, deep) + 0.25 * torch.maximum(wide, deep))
        return torch.maximum(side, torch.maximum(levels[0] - points.z, points.z - levels[-1]))

    return Shape(distance, low, high)


def symmetric(shape: Shape) -> Shape:
    """The shape and its mirror image on the other side; the shape must lie at x >= 0."""
    reach = max(shape.high[0], 0.0)
    return Shape(
        lambda points: shape.distance(Points(points.x.abs(), points.y, points.z, points.level)),
        (-reach, *shape.low[1:]),
        (reach, *shape.high[1:]),
    )


def hinged(shape: Shape, pivot: Vector, degrees: float) -> Shape:
    """The shape rotated about the line along x through ``pivot``, from y towards z."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))

    def distance(points: Points) -> Tensor:
        y, z = points.y - pivot[1], points.z - pivot[2]
        moved = (pivot[1] + cosine * y + sine * z, pivot[2] - sine * y + cosine * z)
        return shape.distance(Points(points.x, *moved, points.level))

    corners = [
        (pivot[1] + cosine * (y - pivot[1]) - sine * (z - pivot[2]),
         pivot[2] + sine * (y - pivot[1]) + cosine * (z - pivot[2]))
        for y in (shape.low[1], shape.high[1]) for z in (shape.low[2], shape.high[2])
    ]  # fmt: skip
    ys, zs = zip(*corners)
    return Shape(distance, (shape.low[0], min(ys), min(zs)), (shape.high[0], max(ys), max(zs)))


def mirrored(shape: Shape) -> Shape:
    """The shape on the other side, x turned into -x."""
    return Shape(
        lambda points: shape.distance(Points(-points.x, points.y, points.z, points.level)),
        (-shape.high[0], *shape.low[1:]),
        (-shape.low[0], *shape.high[1:]),
    )

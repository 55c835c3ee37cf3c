"""Muscles that fill a limb or neck, with planes of fat between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bundle.data.anatomy.canvas import Box, Canvas, Paint
from bundle.data.anatomy.frame import noise
from bundle.data.anatomy.shapes import interpolate
from bundle.data.anatomy.variation import Draw
from bundle.fixed_tuples import triple

__all__ = ["Muscle", "paint_muscles"]


@dataclass(frozen=True)
class Muscle:
    """An elliptic muscle belly along z.

    Args:
        levels: K increasing z in mm.
        x: K centres in mm.
        y: K centres in mm.
        radius: K half-widths in mm along its first axis; negative where there is none.
        ratio: of the second half-width to the first.
        degrees: by which the first axis is turned from x towards y.
    """

    levels: Sequence[float]
    x: Sequence[float]
    y: Sequence[float]
    radius: Sequence[float]
    ratio: float = 1.0
    degrees: float = 0.0


def paint_muscles(
    canvas: Canvas,
    box: Box,
    envelope: Tensor,
    muscles: Sequence[Muscle],
    paint: Paint,
    draw: Draw,
    bulk: float = 1.0,
    slack_mm: float | Tensor = 4.0,
    gap_mm: float = 1.6,
    streaks: float = 0.0,
) -> None:
    """Paints muscles that share the space inside an envelope: every point goes to the muscle nearest for its size.

    Args:
        canvas: what is painted on; fat should be there already.
        box: where.
        envelope: signed distance in mm to the fascia around all muscles, in the shape of the box.
        muscles: any number.
        paint: of muscle; each has its own HU near it.
        draw: for their sizes and HU.
        bulk: factor to all radii.
        slack_mm: by how much a muscle may grow beyond its ellipse where nothing is in its way; one number or one
            per voxel.
        gap_mm: width of the fat planes.
        streaks: share of fat strewn into the muscles, 0 to 1.
    """
    points = canvas.points(box)
    nearest = torch.full_like(envelope, 1e3)
    second = torch.full_like(envelope, 1e3)
    value = torch.full_like(envelope, paint.hu)
    most = float(slack_mm.max()) if isinstance(slack_mm, Tensor) else slack_mm
    for muscle in muscles:
        size = bulk * draw.normal(1.0, 0.07)
        shift_x, shift_y = draw.normal(0.0, 1.5), draw.normal(0.0, 1.5)
        hu = paint.hu + draw.normal(0.0, 4.0)
        angle = math.radians(muscle.degrees + draw.normal(0.0, 4.0))
        near = _near(canvas, box, points.level, muscle, shift_x, shift_y, 1.2 * size, most + gap_mm)
        if near is None:
            continue
        part, own = near
        here = canvas.points(own)
        level = here.level
        x = here.x - (interpolate(muscle.levels, muscle.x, level) + shift_x)
        y = here.y - (interpolate(muscle.levels, muscle.y, level) + shift_y)
        across = math.cos(angle) * x + math.sin(angle) * y
        deep = (math.cos(angle) * y - math.sin(angle) * x) / muscle.ratio
        radius = interpolate(muscle.levels, muscle.radius, level)
        radius = torch.where(radius > 0, radius * size, 20 * radius)
        distance = (across.square() + deep.square()).sqrt_().sub_(radius).mul_(0.5 + 0.5 * muscle.ratio)
        closer = distance < nearest[part]
        second[part] = torch.minimum(second[part], torch.maximum(nearest[part], distance))
        nearest[part] = torch.minimum(nearest[part], distance)
        value[part] = torch.where(closer, hu, value[part])
    inside = torch.maximum(nearest - slack_mm, (gap_mm - (second - nearest)) * 0.5)
    cover = canvas.coverage(torch.maximum(inside, envelope))
    if streaks > 0:
        field = noise(canvas, box, (4.0, 4.0, 28.0), draw.key()) + 0.8 * noise(canvas, box, 22.0, draw.key())
        cover = cover * (1 - (0.9 * (field + 3.2 * (streaks - 0.85)).clamp(0, 1)))
    if paint.texture and paint.kind in canvas.textures:
        value = value + paint.texture * canvas.textures[paint.kind][box]
    canvas.blend(box, cover, value)


def _near(
    canvas: Canvas,
    box: Box,
    level: Tensor,
    muscle: Muscle,
    shift_x: float,
    shift_y: float,
    size: float,
    reach_mm: float,
) -> tuple[Box, Box] | None:
    """The part of the box that a muscle can fill, and the same in the canvas; None if that is nothing."""
    radii = list(muscle.radius)
    inside = [i for i, r in enumerate(radii) if r > 0]
    low = -math.inf if radii[0] > 0 else muscle.levels[inside[0] - 1]
    high = math.inf if radii[-1] > 0 else muscle.levels[inside[-1] + 1]
    flat = level.reshape(-1)
    here = torch.nonzero((flat >= low) & (flat <= high)).reshape(-1)
    if len(here) == 0:
        return None
    # only the knots around the slices that there are
    seen = [float(flat[here[0]]), float(flat[here[-1]])]
    inner = [i for i, z in enumerate(muscle.levels) if min(seen) <= z <= max(seen)]
    ends = [i for i, z in enumerate(muscle.levels) if z < min(seen)][-1:] + [
        i for i, z in enumerate(muscle.levels) if z > max(seen)
    ][:1]
    knots = sorted(inner + ends)
    wide = [max(radii[i], 1.0) * size * max(1.0, muscle.ratio) + 2.0 * reach_mm for i in knots]
    xs = [muscle.x[i] + shift_x for i in knots]
    ys = [muscle.y[i] + shift_y for i in knots]
    lowest = (min(x - r for x, r in zip(xs, wide)), min(y - r for y, r in zip(ys, wide)), -1e4)
    highest = (max(x + r for x, r in zip(xs, wide)), max(y + r for y, r in zip(ys, wide)), 1e4)
    first, last = int(here[0]), int(here[-1]) + 1
    # in the coordinates of a turned part slices are not levels, so that the box takes all heights
    own = canvas.box((*lowest[:2], min(seen) - 60.0), (*highest[:2], max(seen) + 60.0), 2.0)
    if own is None:
        return None
    own = triple(slice(max(o.start, b.start), min(o.stop, b.stop)) for o, b in zip(own, box))
    own = (own[0], own[1], slice(box[2].start + first, box[2].start + last))
    if any(o.stop <= o.start for o in own):
        return None
    return triple(slice(o.start - b.start, o.stop - b.start) for o, b in zip(own, box)), own

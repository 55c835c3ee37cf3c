"""Metal that patients carry in the trunk."""

from __future__ import annotations

import math

from bundle.data.anatomy.canvas import Canvas
from bundle.data.anatomy.shapes import box, difference, ellipsoid, half_space, intersection, rotation
from bundle.data.anatomy.tissues import Palette
from bundle.data.anatomy.trunk.body import leg_course
from bundle.data.anatomy.trunk.frame import Frame
from bundle.data.anatomy.trunk.skeleton import vertebral_levels
from bundle.data.anatomy.trunk.thorax import Thorax
from bundle.data.anatomy.variation import Draw
from bundle.data.anatomy.vessels import Tubes, paint_tube_layers, paint_tubes

__all__ = ["paint_metal"]


def paint_metal(canvas: Canvas, frame: Frame, thorax: Thorax, palette: Palette, draw: Draw) -> None:
    """Paints now and then pedicle screws, a hip prosthesis, sternal wires, a pacemaker, clips."""
    draw = draw.part("metal")
    carried = {name: draw.chance(0.04) for name in ("screws", "hip", "wires", "pacemaker", "clips")}
    if frame.child or not canvas.with_surroundings:
        return
    if carried["screws"]:
        _screws(canvas, frame, palette, draw.part("screws"))
    if carried["hip"]:
        _hip(canvas, frame, palette, draw.part("hip"))
    if carried["wires"]:
        _wires(canvas, frame, palette)
    if carried["pacemaker"]:
        _pacemaker(canvas, frame, thorax, palette)
    if carried["clips"]:
        where = draw.part("clips")
        for _ in range(where.integer(2, 7)):
            place = frame.at(where.normal(-30, 30), where.uniform(-50, 20), where.uniform(-60, 190))
            canvas.paint(ellipsoid(place, (1.2, 1.2, where.uniform(2, 5))), palette["titanium"])


def _screws(canvas: Canvas, frame: Frame, palette: Palette, draw: Draw) -> None:
    levels = [z for _, z, _ in vertebral_levels()[:10]]
    first = draw.integer(0, 5)
    chosen = levels[first : first + draw.integer(2, 4)]
    parts = []
    for side in (-1, 1):
        heads = [frame.from_spine(side * 20, 34, z + 4) for z in chosen]
        for z, head in zip(chosen, heads):
            parts.append(Tubes.polyline([head, frame.from_spine(side * 9, -9, z + 3)], 2.9))
            parts.append(Tubes.polyline([head, (head[0], head[1] + 6, head[2])], 5.5))
        parts.append(Tubes.polyline([(x, y + 4, z) for x, y, z in heads], 2.8))
    paint_tube_layers(canvas, Tubes.joined(parts), [(0.0, palette["titanium"])])


def _hip(canvas: Canvas, frame: Frame, palette: Palette, draw: Draw) -> None:
    s = frame.scale
    side = draw.choice((-1, 1))
    hip = (side * 88 * s * frame.width, 2 * s, -84 * s)
    top = (hip[0] + side * 40 * s, 8 * s, -122 * s)
    leg = leg_course(frame, side)
    metal = palette[draw.choice(("titanium", "steel"))]
    stem = [top, (hip[0] + side * 44 * s, 7 * s, -158 * s), (0.7 * top[0] + 0.3 * leg[1][0], 0, -255 * s)]
    if draw.chance(0.4):
        paint_tube_layers(canvas, Tubes.polyline(stem, [11 * s, 9 * s, 7 * s]), [(0.0, palette["bone_cement"])])
    cup = difference(ellipsoid(hip, (27 * s,) * 3), ellipsoid(hip, (23.5 * s,) * 3))
    turned = half_space((side * 0.65, 0, -0.76), hip)
    canvas.paint(ellipsoid(hip, (24 * s,) * 3), palette["polyethylene"])
    canvas.paint(intersection(cup, turned), metal)
    canvas.paint(ellipsoid(hip, (draw.uniform(14, 18),) * 3), palette[draw.choice(("steel", "titanium"))])
    parts = [Tubes.polyline([hip, top], [6 * s, 8 * s]), Tubes.polyline(stem, [8.5 * s, 7 * s, 4.5 * s])]
    paint_tube_layers(canvas, Tubes.joined(parts), [(0.0, metal)])


def _wires(canvas: Canvas, frame: Frame, palette: Palette) -> None:
    s = frame.scale
    parts = []
    for z in (398, 376, 354, 332, 312):
        front = frame.ribs_at(z)[1] + 5 * s
        middle = frame.at(0, -80, z)[0]
        ring = [
            (middle + 19 * s * math.cos(a), front + 8 * s * math.sin(a), z * s + 2 * math.sin(3 * a))
            for a in (2 * math.pi * n / 14 for n in range(15))
        ]
        parts.append(Tubes.polyline(ring, 0.55))
    paint_tubes(canvas, Tubes.joined(parts), palette["steel"])


def _pacemaker(canvas: Canvas, frame: Frame, thorax: Thorax, palette: Palette) -> None:
    s = frame.scale
    front = frame.ribs_at(408)[1]
    place = (frame.at(92, 0, 408)[0], front - 8 * s, 408 * s)
    canvas.paint(box(place, (23, 4, 22), rotation(-20, 0, 28), 3.5), palette["titanium"])
    heart = thorax.heart
    lead = [place, frame.at(70, -22, 440), frame.at(5, -32, 427), frame.at(-30, -14, 420), frame.at(-31, -10, 380)]
    lead += [
        (heart[0] - 30 * s, heart[1], heart[2] + 10 * s),
        (heart[0] + 15 * s, heart[1] - 25 * s, heart[2] - 22 * s),
    ]
    paint_tubes(canvas, Tubes.polyline(lead, 1.0), palette["steel"])

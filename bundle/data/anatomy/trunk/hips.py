"""Hip bones with their joints, and the femora."""

from __future__ import annotations

from torch import Tensor

from bundle.data.anatomy.canvas import Canvas
from bundle.data.anatomy.shapes import (
    Points,
    Shape,
    box,
    column,
    difference,
    ellipsoid,
    half_space,
    intersection,
    offset,
    rotation,
    smooth_union,
    tube,
    union,
)
from bundle.data.anatomy.tissues import Palette
from bundle.data.anatomy.trunk.body import leg_course
from bundle.data.anatomy.trunk.frame import Frame
from bundle.data.anatomy.variation import Draw
from bundle.data.anatomy.vessels import Tubes, paint_tube_layers

__all__ = ["paint_pelvic_bones"]


def paint_pelvic_bones(canvas: Canvas, frame: Frame, palette: Palette, draw: Draw) -> None:
    """Paints the hip bones with their joints, and the femora."""
    draw = draw.part("pelvis")
    s, w = frame.scale, frame.width * (1.03 if frame.female else 1.0)
    flare = draw.normal(1.0, 0.04)
    spongy, cortex = palette["trabecular_bone"], palette["cortical_bone"]
    zs = (-80, -55, -25, 5, 35, 60)
    middle = [6 * s] * 6
    wing = column(
        [z * s for z in zs],
        [0.0] * 6,
        middle,
        [v * s * w * flare for v in (86, 96, 112, 126, 137, 140)],
        [v * s for v in (52, 66, 76, 82, 84, 80)],
        [v * s for v in (52, 62, 70, 74, 74, 66)],
        2.2,
        capped=False,
    )
    outside, inside = wing, offset(wing, -8.5 * s)

    def wing_distance(points: Points) -> Tensor:
        plate = outside.distance(points).maximum(-inside.distance(points))
        y, z = points.y / s - 2, points.z / s
        crest = 48 - 58 * ((y - 2) / 72) ** 2
        plate = plate.maximum((z - crest) * (s * 0.75))
        plate = plate.maximum((38 * s - points.x.abs()) * 0.9)
        notch = ((y - 52) ** 2 + (z + 62) ** 2).sqrt()  # greater sciatic notch
        return plate.maximum((26 - notch) * s).maximum((-y - 74) * s)

    ilium = Shape(wing_distance, (-160 * s * w, -90 * s, -80 * s), (160 * s * w, 95 * s, 55 * s))
    canvas.paint_layers(ilium, [(0.0, cortex), (2.0 * s, spongy)])
    rami, shafts = [], []
    joints = {side: (side * 88 * s * w, 2 * s, -84 * s) for side in (-1, 1)}
    for side in (-1, 1):
        hip = joints[side]
        x = side * s * w
        socket = union(
            ellipsoid((hip[0] - side * 11 * s, hip[1] + 2 * s, hip[2] + 9 * s), (25 * s, 31 * s, 33 * s)),
            ellipsoid((hip[0] - side * 2 * s, hip[1] + 4 * s, hip[2] + 30 * s), (17 * s, 25 * s, 26 * s)),
        )
        opening = half_space((side * 0.8, -0.2, -0.55), (hip[0] + side * 9 * s, hip[1], hip[2]))
        cup = intersection(difference(socket, ellipsoid(hip, (27 * s,) * 3)), opening)
        canvas.paint_layers(Shape(cup.distance, socket.low, socket.high), [(0.0, cortex), (2.0 * s, spongy)])
        rami += [
            Tubes.polyline([(hip[0] - side * 20 * s, -24 * s, -84 * s), (14 * x, -62 * s, -96 * s)], [10 * s, 8.5 * s]),
            Tubes.polyline([(12 * x, -62 * s, -92 * s), (12 * x, -56 * s, -116 * s)], [8.5 * s, 7.5 * s]),
            Tubes.polyline([(13 * x, -56 * s, -116 * s), (46 * x, -4 * s, -152 * s)], [6.5 * s, 8.5 * s]),
            Tubes.polyline(
                [(hip[0] - side * 12 * s, 26 * s, -88 * s), (60 * x, 36 * s, -125 * s), (54 * x, 26 * s, -150 * s)],
                [13 * s, 13 * s, 14 * s],
            ),
        ]
        canvas.paint(ellipsoid((0, -61 * s, -104 * s), (4.5 * s, 9 * s, 18 * s)), palette["cartilage"])
        leg = leg_course(frame, side)
        top = (hip[0] + side * 46 * s, 10 * s, -122 * s)
        head = ellipsoid(hip, (23.5 * s,) * 3)
        neck = tube([hip, top], [15 * s, 17 * s])
        trochanter = ellipsoid((top[0] + side * 7 * s, top[1] + 6 * s, top[2] + 8 * s), (14 * s, 18 * s, 24 * s))
        upper = smooth_union(smooth_union(head, neck, 7 * s), trochanter, 12 * s)
        lesser = ellipsoid((top[0] - side * 17 * s, top[1] + 14 * s, -152 * s), (9 * s, 9 * s, 12 * s))
        taper = tube([top, (top[0] - side * 4 * s, 6 * s, -165 * s)], [18 * s, 15 * s])
        upper = smooth_union(smooth_union(upper, taper, 10 * s), lesser, 8 * s)
        canvas.paint_layers(upper, [(0.0, cortex), (1.8 * s, spongy)])
        below = [(top[0] - side * 3 * s, 6 * s, -158 * s)]
        below += [(0.55 * top[0] + 0.45 * leg[1][0], -4 * s, leg[1][2]), (leg[2][0], 8 * s, leg[2][2])]
        shafts.append(Tubes.polyline(below, [15 * s, 13.5 * s, 16 * s]))
    paint_tube_layers(canvas, Tubes.joined(rami), [(0.0, cortex), (2.0 * s, spongy)])
    paint_tube_layers(canvas, Tubes.joined(shafts), [(0.0, cortex), (5.5 * s, palette["yellow_marrow"])])
    if frame.child:
        for side in (-1, 1):
            hip = joints[side]
            plate = box(
                (hip[0] + side * 9 * s, hip[1], hip[2] - 8 * s), (1.5 * s, 18 * s, 18 * s), rotation(0, side * 40)
            )
            canvas.paint(plate, palette["growth_plate"])

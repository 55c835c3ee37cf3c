"""Liver, spleen, kidneys, pancreas, stomach, psoas and the vessels of the abdomen."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bundle.data.anatomy.canvas import Canvas, Paint
from bundle.data.anatomy.shapes import (
    Points,
    Shape,
    ellipsoid,
    intersection,
    offset,
    rotation,
    smooth_difference,
    smooth_union,
    tube,
    union,
)
from bundle.data.anatomy.tissues import Palette
from bundle.data.anatomy.trunk.frame import Frame
from bundle.data.anatomy.trunk.thorax import Thorax
from bundle.data.anatomy.variation import Draw
from bundle.data.anatomy.vessels import Tubes, grow_tree, paint_tube_layers, paint_tubes, random_places

__all__ = ["paint_abdominal_cavity", "paint_abdominal_organs"]


def _room(frame: Frame, thorax: Thorax) -> Shape:
    """The peritoneal and retroperitoneal space under the diaphragm."""
    s = frame.scale
    cavity = frame.cavity()
    low = (cavity.low[0], cavity.low[1], -135 * s)
    high = (cavity.high[0], cavity.high[1], 300 * s)

    def distance(points: Points) -> Tensor:
        below = -thorax.diaphragm.distance(points) + 2.5 * s
        ribs = thorax.inside.distance(points) + 3 * s
        ribs = torch.where(points.z > 150 * s, ribs, ribs - (150 * s - points.z))  # the cage ends at its arch
        room = cavity.distance(points).maximum(ribs).maximum(-135 * s - points.z)
        return torch.where(points.z > 60 * s, room.maximum(below), room)

    return Shape(distance, low, high)


def paint_abdominal_cavity(canvas: Canvas, frame: Frame, thorax: Thorax, palette: Palette, draw: Draw) -> None:
    """Fills the cavity with fat, lines it, and lays psoas muscles beside the spine."""
    s, m = frame.scale, frame.muscle
    room = _room(frame, thorax)
    region = canvas.regions["cavity"] = torch.zeros(canvas.shape, device=canvas.device)
    box = canvas.box(room.low, room.high, canvas.blur_mm + 1.0 * s)
    for part, _ in canvas.slabs(box) if box is not None else ():
        distance = room.distance(canvas.points(part))
        canvas.blend(part, canvas.coverage(distance), palette["visceral_fat"])
        region[part] = canvas.coverage(distance - 1.0 * s)
    muscles = []
    for side in (-1, 1):
        line = [
            frame.from_spine(side * 26, 0, 165),
            frame.from_spine(side * 36, 4, 110),
            frame.from_spine(side * 45, 4, 50),
        ]
        line += [(side * 66 * s, 2 * s, 0), (side * 82 * s, -22 * s, -55 * s), (side * 92 * s, -24 * s, -100 * s)]
        muscles.append(Tubes.polyline(line, [v * s * m for v in (8, 15, 20, 21, 17, 13)]))
        square = [frame.from_spine(side * 50, 26, 150), frame.from_spine(side * 64, 32, 60)]
        muscles.append(Tubes.polyline(square, [10 * s * m, 15 * s * m]))
    crura = [
        Tubes.polyline([frame.from_spine(side * 12, -22, 225), frame.from_spine(side * 15, -18, 130)], [6 * s, 4 * s])
        for side in (-1, 1)
    ]
    paint_tube_layers(canvas, Tubes.joined(muscles + crura), [(0.0, palette["muscle"])])


def paint_abdominal_organs(canvas: Canvas, frame: Frame, thorax: Thorax, palette: Palette, draw: Draw) -> None:
    """Paints the upper abdominal organs."""
    room = _room(frame, thorax)
    kidneys = draw.part("kidneys")
    for side in (-1, 1):
        _kidney(canvas, frame, palette, side, kidneys)
    _spleen(canvas, frame, room, palette, draw.part("spleen"))
    _pancreas(canvas, frame, palette, draw.part("pancreas"))
    _liver(canvas, frame, thorax, room, palette, draw.part("liver"))
    _stomach(canvas, frame, room, palette, draw.part("stomach"))
    _vessels(canvas, frame, palette, draw.part("branches"))


def _liver(canvas: Canvas, frame: Frame, thorax: Thorax, room: Shape, palette: Palette, draw: Draw) -> None:
    s = frame.scale
    k = draw.log_normal(1.0, 0.07) * s * (1.05 if frame.child else 1.0)
    down = (thorax.dome_mm / s - 258) * 0.9
    right = ellipsoid(
        frame.at(-78, 6, 178 + down), (86 * k, 92 * k, draw.normal(90, 8) * k), rotation(0, draw.normal(-6, 4), 0)
    )
    reach = draw.normal(0, 14)
    left = ellipsoid(
        frame.at(-4 + 0.4 * reach, -46, 222 + down), ((84 + reach) * k, 46 * k, 40 * k), rotation(0, 10, 4)
    )
    hollow = ellipsoid(frame.at(26, 28, 146 + 0.5 * down), (70 * k, 60 * k, 66 * k))
    beneath = ellipsoid(frame.at(-15, -58, 106 + down), (66 * k, 48 * k, 48 * k), rotation(0, -12, 0))
    whole = smooth_difference(smooth_union(right, left, 40 * k), union(hollow, beneath), 22 * k)
    kidney = ellipsoid(frame.at(-62, 42, 128), (34 * s, 32 * s, 58 * s))
    inner = offset(room, -1.5 * s)

    def distance(points: Points) -> Tensor:
        return whole.distance(points).maximum(inner.distance(points)).maximum(-kidney.distance(points))

    liver = Shape(distance, whole.low, whole.high)
    canvas.paint(liver, palette["liver"])
    lesions = draw.part("lesions")
    if not frame.child and lesions.chance(0.3):
        paint = palette[lesions.choice(("cyst", "tumour"))]
        for place in random_places(liver, lesions.integer(1, 5), lesions, 8.0):
            radius = lesions.log_uniform(3, 20)
            canvas.paint(ellipsoid(tuple(place), [radius * lesions.normal(1, 0.12) for _ in range(3)]), paint)
    if canvas.box(liver.low, liver.high) is not None:
        gate = frame.at(-30, -8, 172 + 0.7 * down)
        places = random_places(liver, 110, draw, 6.0)
        portal = grow_tree(gate, places, draw, 6.0 * s, 0.7, murray=2.6)
        paint_tubes(canvas, portal, palette["portal_blood"])
        cava = frame.at(-26, 8, 232 + down)
        hepatic = grow_tree(cava, random_places(liver, 70, draw, 6.0), draw, 6.5 * s, 0.8, murray=2.5)
        paint_tubes(canvas, hepatic, palette["portal_blood"])
        stem = [frame.from_spine(-6, -44, 140), gate]
        paint_tube_layers(canvas, Tubes.polyline(stem, 7 * s), [(0.0, palette["portal_blood"])])
    if draw.chance(0.85):
        bladder = ellipsoid(
            frame.at(-50 + draw.normal(0, 6), -50, 146 + down),
            (draw.normal(13, 3) * s, draw.normal(13, 3) * s, draw.normal(28, 5) * s),
            rotation(-25, 15, 0),
        )
        canvas.paint_layers(bladder, [(0.0, palette["bowel_wall"]), (1.5 * s, palette["bile"])])


def _spleen(canvas: Canvas, frame: Frame, room: Shape, palette: Palette, draw: Draw) -> None:
    s = frame.scale
    k = draw.log_normal(1.0, 0.14) * s
    down = -0.6 * frame.breath_mm
    centre = frame.at(104 + draw.normal(0, 4), 44, 202 + down + draw.normal(0, 8))
    body = ellipsoid(centre, (30 * k, 50 * k, 54 * k), rotation(-20, 10, 32))
    hollow = ellipsoid(frame.at(62, 14, 205 + down), (34 * s, 44 * s, 46 * s))
    spleen = intersection(smooth_difference(body, hollow, 12 * k), offset(room, -1.5 * s))
    canvas.paint(spleen, palette["spleen"])


def _kidney(canvas: Canvas, frame: Frame, palette: Palette, side: int, draw: Draw) -> None:
    s = frame.scale
    k = draw.log_normal(1.0, 0.07) * s
    up = (132 if side < 0 else 142) - 0.4 * frame.breath_mm + draw.normal(0, 8)
    centre = frame.at(side * (62 + draw.normal(0, 4)), 37, up)
    turned = rotation(12, side * 14, side * draw.normal(-35, 8))
    present = not draw.chance(0.02)
    stone, cyst = draw.chance(0.06), not frame.child and draw.chance(0.25)
    cyst_size, angle = draw.uniform(4, 22), draw.uniform(0, 6.28)
    if not present:
        return
    outer = ellipsoid(centre, (27 * k, 25 * k, 55 * k), turned)
    inward = tuple(-side * turned[a][0] for a in range(3))
    hilum = tuple(c + 19 * k * v for c, v in zip(centre, inward))
    sinus = ellipsoid(hilum, (17 * k, 10 * k, 27 * k), turned)
    cortex, medulla = palette["kidney_cortex"], palette["kidney_medulla"]
    body = smooth_difference(
        outer, ellipsoid(tuple(c + 27 * k * v for c, v in zip(centre, inward)), (12 * k, 10 * k, 16 * k), turned), 6 * k
    )
    columns = 0.5 * (cortex.hu + medulla.hu)
    canvas.paint_layers(body, [(0.0, cortex), (6.5 * k, Paint(0.7 * medulla.hu + 0.3 * columns, 12))])
    canvas.paint(sinus, palette["visceral_fat"])
    pelvis = ellipsoid(hilum, (9 * k, 6 * k, 12 * k), turned)
    canvas.paint(pelvis, palette["urine"])
    calyces = [
        Tubes.polyline(
            [hilum, tuple(h - 9 * k * v for h, v in zip((hilum[0], hilum[1], hilum[2] + up_mm * k), inward))], 3.2 * k
        )
        for up_mm in (-22, 0, 22)
    ]
    paint_tube_layers(canvas, Tubes.joined(calyces), [(0.0, palette["urine"])])
    ureter = [
        tuple(h + 8 * k * v for h, v in zip(hilum, inward)),
        frame.from_spine(side * 38, -14, 80),
        frame.from_spine(side * 36, -18, 10),
        frame.at(side * 52, 20, -60),
    ]
    paint_tubes(canvas, Tubes.polyline(ureter, 2.2 * s), palette["urine"])
    if stone:
        canvas.paint(ellipsoid(hilum, (3 * s, 3 * s, 4 * s)), palette["calcification"])
    if cyst:
        out = tuple(
            c - 24 * k * v + 20 * k * math.sin(angle) * (a == 2) for a, (c, v) in enumerate(zip(centre, inward))
        )
        canvas.paint(ellipsoid(out, (cyst_size * s,) * 3), palette["cyst"])
    gland = frame.at(side * 40, 26, up + 58)
    limbs = [
        Tubes.polyline([gland, (gland[0] + dx * s, gland[1] + 22 * s, gland[2] - 6 * s)], [3.2 * s, 2.4 * s])
        for dx in (-7, 9)
    ]
    paint_tube_layers(canvas, Tubes.joined(limbs), [(0.0, palette["adrenal"])])


def _pancreas(canvas: Canvas, frame: Frame, palette: Palette, draw: Draw) -> None:
    s = frame.scale
    k = draw.log_normal(1.0, 0.12) * s
    up = draw.normal(0, 6)
    line = [frame.at(-32, -18, 120 + up), frame.at(-28, -24, 138 + up), frame.at(2, -34, 148 + up)]
    line += [frame.at(36, -18, 158 + up), frame.at(76, 14, 178 + up)]
    tubes = Tubes.polyline(line, [11 * k, 14 * k, 9 * k, 10.5 * k, 8 * k])
    paint_tube_layers(canvas, tubes, [(0.0, palette["pancreas"])])
    vein = [frame.from_spine(-6, -44, 142), frame.at(36, -8, 160 + up), frame.at(84, 22, 186 + up)]
    paint_tube_layers(canvas, Tubes.polyline(vein, 4.2 * s), [(0.0, palette["portal_blood"])])


def _stomach(canvas: Canvas, frame: Frame, room: Shape, palette: Palette, draw: Draw) -> None:
    s = frame.scale
    full = draw.log_normal(1.0, 0.22) * s
    down = -0.7 * frame.breath_mm
    top = ellipsoid(frame.at(56, 14, 216 + down), (33 * full, 34 * full, 34 * full))
    line = [frame.at(58, -4, 206 + down), frame.at(60, -44, 172 + down), frame.at(36, -62, 146 + down)]
    line += [frame.at(0, -56, 140 + down), frame.at(-30, -38, 146 + down)]
    body = tube(line, [30 * full, 27 * full, 23 * full, 18 * full, 11 * full])
    stomach = intersection(smooth_union(top, body, 25 * s), offset(room, -2.0 * s))
    wall = draw.uniform(3, 5.5) * s
    content = (
        palette["bowel_fluid"] if palette.phase == "native" or draw.chance(0.8) else Paint(draw.uniform(60, 350), 20)
    )
    food = Paint(draw.uniform(10, 60), 25, "coarse") if draw.chance(0.5) else content
    canvas.paint_layers(stomach, [(0.0, palette["bowel_wall"]), (wall, food)])
    if draw.chance(0.85):  # the gas rises to the front
        surface = frame.at(50, draw.uniform(-52, -10), 190)[1]
        inside = offset(stomach, -wall)
        gas = Shape(lambda p: inside.distance(p).maximum(p.y - surface), stomach.low, stomach.high)
        canvas.paint(gas, palette["bowel_gas"])


def _vessels(canvas: Canvas, frame: Frame, palette: Palette, draw: Draw) -> None:
    s = frame.scale
    arteries, veins = [], []
    arteries.append(
        Tubes.polyline(
            [frame.from_spine(4, -30, 175), frame.from_spine(2, -48, 178), frame.from_spine(-20, -50, 180)], 3.4 * s
        )
    )
    arteries.append(
        Tubes.polyline([frame.from_spine(4, -36, 172), frame.at(40, -10, 172), frame.at(84, 22, 190)], 2.8 * s)
    )
    arteries.append(
        Tubes.polyline(
            [frame.from_spine(4, -32, 160), frame.from_spine(3, -48, 140), frame.from_spine(0, -52, 70)],
            [3.6 * s, 3.4 * s, 2.4 * s],
        )
    )
    veins.append(Tubes.polyline([frame.from_spine(-8, -46, 140), frame.from_spine(-8, -52, 70)], [5 * s, 3.5 * s]))
    for side in (-1, 1):
        kidney = frame.at(side * 44, 28, 136)
        arteries.append(Tubes.polyline([frame.from_spine(4, -28, 142), kidney], 2.6 * s))
        start = frame.from_spine(-22, -27, 138)
        bend = frame.from_spine(4 if side > 0 else -26, -40 if side > 0 else -26, 138)
        veins.append(Tubes.polyline([start, bend, kidney], 4.2 * s))
        fork = frame.from_spine(4, -29, 58)
        joint = frame.from_spine(-20, -25, 50)
        iliac = [
            frame.from_spine(side * 30, -24, 10),
            (side * 58 * s, 6 * s, -28 * s),
            (side * 66 * s, -30 * s, -70 * s),
        ]
        iliac += [
            (side * 72 * s, -56 * s, -105 * s),
            (side * 72 * s, -56 * s, -150 * s),
            (side * 80 * s, -36 * s, -290 * s),
        ]
        arteries.append(Tubes.polyline([fork, *iliac], [v * s for v in (5.5, 5.2, 4.6, 4.4, 4.2, 3.8, 3.4)]))
        behind = [(x - side * 7 * s, y + 9 * s, z) for x, y, z in iliac]
        veins.append(Tubes.polyline([joint, *behind], [v * s for v in (8, 7, 6.4, 6, 5.6, 5, 4)]))
        inner = [iliac[0], (side * 48 * s, 40 * s, -40 * s), (side * 50 * s, 42 * s, -75 * s)]
        arteries.append(Tubes.polyline(inner, [4 * s, 3 * s, 2 * s]))
    paint_tube_layers(canvas, Tubes.joined(veins), [(0.0, palette["venous_blood"])])
    paint_tube_layers(canvas, Tubes.joined(arteries), [(0.0, palette["blood"])])
    if not frame.child and draw.chance(0.4):
        for tubes in arteries[-4:]:
            spots = tubes.cut(9.0)
            for start in spots.start[:: draw.integer(2, 5)]:
                place = (start[0] + draw.normal(0, 2), start[1] + 3 * s, start[2])
                canvas.paint(ellipsoid(place, (1.3, 1.3, 2.6)), palette["calcification"])

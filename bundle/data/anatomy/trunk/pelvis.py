"""Bladder, rectum, prostate or uterus, and the pelvic floor."""

from __future__ import annotations

from bundle.data.anatomy.canvas import Canvas
from bundle.data.anatomy.shapes import Shape, ellipsoid, rotation, smooth_union
from bundle.data.anatomy.tissues import Palette
from bundle.data.anatomy.trunk.frame import Frame
from bundle.data.anatomy.variation import Draw
from bundle.data.anatomy.vessels import Tubes, paint_tube_layers

__all__ = ["paint_pelvic_organs"]


def paint_pelvic_organs(canvas: Canvas, frame: Frame, palette: Palette, draw: Draw) -> None:
    """Paints the organs of the small pelvis."""
    draw = draw.part("pelvic organs")
    s = frame.scale
    _floor(canvas, frame, palette)
    full = draw.log_normal(1.0, 0.22)
    _rectum(canvas, frame, palette, draw.part("rectum"))
    if frame.female:
        _uterus(canvas, frame, palette, draw.part("uterus"))
    else:
        size = draw.log_normal(1.0, 0.15) * (0.5 if frame.child else 1.0)
        gland = ellipsoid((0, -14 * s, -114 * s), (23 * s * size, 17 * s * size, 18 * s * size))
        canvas.paint(gland, palette["prostate"])
        for side in (-1, 1):
            vesicle = ellipsoid(
                (side * 17 * s, 12 * s, -92 * s), (16 * s * size, 6 * s, 7 * s), rotation(0, side * 25, side * 15)
            )
            canvas.paint(vesicle, palette["prostate"])
    centre = (draw.normal(0, 4), -30 * s, (-98 + 20 * full) * s)
    bladder = ellipsoid(centre, (36 * s * full, 27 * s * full**0.8, 24 * s * full), rotation(12))
    wall = draw.uniform(2.5, 4.5) * s / full
    urine = palette["urine"]
    canvas.paint_layers(bladder, [(0.0, palette["bowel_wall"]), (wall, urine)])
    if urine.hu > 60:  # contrast is heavier than urine and lies at the back
        level = centre[1] + draw.uniform(-10, 18) * s
        front = Shape(lambda p: (bladder.distance(p) + wall).maximum(p.y - level), bladder.low, bladder.high)
        canvas.paint(front, 15.0)


def _floor(canvas: Canvas, frame: Frame, palette: Palette) -> None:
    """Obturator and levator muscles along the inside of the pelvis, and what lies below."""
    s = frame.scale
    lines = []
    for side in (-1, 1):
        lines.append(
            Tubes.polyline(
                [
                    (side * 54 * s, -20 * s, -95 * s),
                    (side * 52 * s, 12 * s, -110 * s),
                    (side * 56 * s, 34 * s, -105 * s),
                ],
                9 * s,
            )
        )
        lines.append(
            Tubes.polyline(
                [
                    (side * 48 * s, -10 * s, -100 * s),
                    (side * 24 * s, 30 * s, -128 * s),
                    (side * 6 * s, 52 * s, -125 * s),
                ],
                3.5 * s,
            )
        )
        lines.append(
            Tubes.polyline(
                [(side * 46 * s, 62 * s, -70 * s), (side * 90 * s, 40 * s, -75 * s), (side * 125 * s, 14 * s, -95 * s)],
                [9 * s, 9 * s, 5 * s],
            )
        )
    paint_tube_layers(canvas, Tubes.joined(lines), [(0.0, palette["muscle"])])


def _rectum(canvas: Canvas, frame: Frame, palette: Palette, draw: Draw) -> None:
    s = frame.scale
    wide = draw.log_normal(1.0, 0.22)
    line = [frame.at(4, 44, -44), (draw.normal(0, 8), 56 * s, -66 * s), (draw.normal(0, 5), 56 * s, -92 * s)]
    line += [(0, 42 * s, -116 * s), (0, 50 * s, -146 * s)]
    radii = [14 * s, 17 * wide * s, 18 * wide * s, 13 * s, 9 * s]
    tubes = Tubes.polyline(line, radii)
    content = draw.choice(("stool", "bowel_gas", "bowel_fluid", "bowel_wall"), (0.4, 0.25, 0.1, 0.25))
    paint_tube_layers(canvas, tubes, [(0.0, palette["bowel_wall"]), (4.0 * s, palette[content])])


def _uterus(canvas: Canvas, frame: Frame, palette: Palette, draw: Draw) -> None:
    s = frame.scale
    if draw.chance(0.12):  # removed
        return
    size = draw.log_normal(1.0, 0.2) * (0.45 if frame.child else 1.0) * s
    side = draw.normal(0, 8) * s
    forward = draw.choice((-1, 1), (0.8, 0.2))
    neck = ellipsoid((0, 16 * s, -96 * s), (15 * size, 14 * size, 20 * size))
    body = ellipsoid(
        (side, (10 + forward * 20) * s, -66 * s), (27 * size, 22 * size, 34 * size), rotation(-forward * 50)
    )
    canvas.paint(smooth_union(neck, body, 14 * s), palette["uterus"])
    canvas.paint(
        ellipsoid(
            (side, (10 + forward * 20) * s, -66 * s), (10 * size, 3.5 * size, 20 * size), rotation(-forward * 50)
        ),
        palette["bowel_wall"],
    )
    for way in (-1, 1):
        ovary = (way * draw.normal(42, 6) * s, 12 * s + draw.normal(0, 8), draw.normal(-58, 8) * s)
        canvas.paint(ellipsoid(ovary, (14 * size, 11 * size, 17 * size)), palette["uterus"])
        if draw.chance(0.5):
            canvas.paint(ellipsoid(ovary, (draw.uniform(3, 11) * s,) * 3), palette["cyst"])
    paint_tube_layers(
        canvas, Tubes.polyline([(0, 16 * s, -112 * s), (0, 6 * s, -150 * s)], 9 * s), [(0.0, palette["bowel_wall"])]
    )

"""Facial soft tissues, orbits, facial bones, nose and sinuses, in head coordinates."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bundle.data.anatomy.canvas import Paint
from bundle.data.anatomy.frame import Frame, noise
from bundle.data.anatomy.head.plan import HINGE, HeadPlan, faded
from bundle.data.anatomy.head.teeth import arch_points
from bundle.data.anatomy.shapes import (
    Points,
    Shape,
    half_space,
    intersection,
    offset,
    smooth_union,
    superellipsoid,
    tube,
    union,
)
from bundle.data.anatomy.solids import blob, hinged, mirrored, prism, ribbon, symmetric
from bundle.data.anatomy.tissues import Palette
from bundle.data.anatomy.variation import Draw

__all__ = ["paint_face_bones", "paint_face_soft", "paint_nose_and_sinuses", "paint_orbits"]


def paint_face_soft(frame: Frame, plan: HeadPlan, palette: Palette, draw: Draw) -> None:
    """Paints the muscles of face, chewing and tongue, and the glands, on a ground of fat."""
    muscle, w, jaw = palette["muscle"], plan.vault[0], plan.jaw
    bulk = plan.bulk**2

    def jawed(shape: Shape) -> Shape:
        return hinged(shape, HINGE, plan.open_degrees)

    inner = blob((0, -62, -52), (42 * jaw, 40, 34))  # floor of the mouth, pharynx, cheeks' inner layer
    frame.paint(inner, faded(palette, "muscle", -12), "head")
    frame.paint(blob((0, -24, -48), (30, 26, 44)), faded(palette, "muscle", -18), "head")
    temporal = symmetric(blob((58 * w, -30, 26), (14 * bulk, 38, 42)))
    frame.paint(temporal, muscle, "head")
    masseter = symmetric(
        ribbon(
            [(58, -44, -8), (56 * jaw, -36, -36), (53 * jaw, -28, -62)],
            [6.0 * bulk, 7.5 * bulk, 6.0 * bulk],
            [13, 17, 15],
            1,
        )
    )
    frame.paint(masseter, muscle, "head")
    inside = symmetric(
        union(
            ribbon([(22, -40, -8), (41 * jaw, -26, -60)], [6.0, 5.5], [11, 12], 1),
            ribbon([(20, -42, 0), (46, -16, -6)], [6.5, 5.0], [9, 6], 2),
        )
    )
    frame.paint(inside, muscle, "head")
    frame.paint(symmetric(blob((42, -58, -22), (11, 15, 17))), faded(palette, "fat", 0), "head")
    parotid = symmetric(blob((57 * jaw, -7, -36), (11, 16, 25)))
    gland = palette["gland"]
    frame.paint(parotid, Paint(gland.hu - 10, gland.texture, gland.kind), "head")
    submandibular = jawed(symmetric(blob((31 * jaw, -46, -91), (10, 16, 12))))
    frame.paint(submandibular, Paint(gland.hu + 18, 0.6 * gland.texture, gland.kind), "head")
    tongue_lift = -0.5 * plan.open_degrees
    frame.paint(blob((0, -56, -60 + tongue_lift), (23 * jaw, 34, 19)), faded(palette, "muscle", 4), "head")
    frame.paint(blob((0, -36, -68 + tongue_lift), (20, 18, 24)), faded(palette, "muscle", 2), "head")
    _paint_tongue_fat(frame, draw, tongue_lift)
    floor = jawed(
        symmetric(union(tube([(6, -78, -90), (22, -50, -92)], [5, 4]), tube([(4, -76, -82), (6, -40, -86)], [5, 6])))
    )
    frame.paint(floor, muscle, "head")
    lips = union(blob((0, -96, -44), (30, 9, 11)), jawed(blob((0, -94, -60), (28, 9, 13))))
    frame.paint(lips, faded(palette, "muscle", -12), "head")
    frame.paint(jawed(blob((0, -90, -82), (18, 7, 12))), faded(palette, "muscle", -20), "head")
    cheek = symmetric(ribbon([(20, -92, -36), (44, -64, -46), (48 * jaw, -46, -48)], [2.2, 2.4, 2.0], [8, 12, 10], 2))
    frame.paint(cheek, faded(palette, "muscle", -8), "head")
    mimic = symmetric(tube([(24, -91, -34), (40, -80, -14), (50, -72, -4)], [1.6, 1.8, 1.6]))
    frame.paint(mimic, faded(palette, "muscle", -10), "head")


def _paint_tongue_fat(frame: Frame, draw: Draw, lift: float) -> None:
    """Fat between the fibres of the tongue, and its septum."""
    body = blob((0, -52, -60 + lift), (18, 28, 15))
    box = frame.box(body.low, body.high, 0.0)
    if box is None:
        return
    points = frame.points(box)
    fibres = noise(frame, box, (3.0, 9.0, 5.0), draw.key())
    cover = frame.coverage(body.distance(points)) * (fibres - 0.4).clamp(0, 1) * draw.uniform(0.1, 0.6)
    cover = torch.maximum(cover, 0.5 * frame.coverage(torch.maximum(points.x.abs() - 0.8, body.distance(points))))
    frame.blend(box, cover, -40.0)


def _orbit(side: int) -> tuple[Shape, Shape]:
    """The cone of an orbit and the plane of its rim."""
    cone = tube([(32, -80, 17), (30, -68, 17), (17, -38, 19)], [18.0, 18.5, 5.5])
    rim = half_space((0.42, -0.9, 0.05), (32, -83, 17))
    if side < 0:
        cone, rim = mirrored(cone), Shape(mirrored(rim).distance, rim.low, rim.high)
    return cone, rim


def _beyond(rim: Shape) -> Callable[[Points], Tensor]:
    return lambda points: -rim.distance(points) - 1.0


def paint_orbits(frame: Frame, plan: HeadPlan, palette: Palette, draw: Draw) -> None:
    """Paints orbital fat, eyeballs with lenses, optic nerves and eye muscles, inside thin bony walls."""
    bone = palette["thin_cortex"]
    gaze, stick, size = draw.normal(0, 1.2), draw.normal(0, 1.5), draw.normal(12.0, 0.4)
    for side in (1, -1):
        cone, rim = _orbit(side)
        frame.paint(intersection(offset(cone, 1.7), rim), bone)
        frame.paint(intersection(cone, rim), palette["fat"])
        front = intersection(cone, Shape(_beyond(rim), cone.low, cone.high))
        frame.paint(front, faded(palette, "muscle", -25), "head")  # lids
        x, y, z = side * 32.0, -73.0 - stick, 17.0
        apex = (side * 18.0, -40.0, 19.0)
        recti = [
            tube(
                [(x + dx * 11, y + 3, z + dz * 11), (x + dx * 10 - side * 4, y + 18, z + dz * 10), apex],
                [1.2, 2.6, 1.6],
            )
            for dx, dz in ((1, 0), (-1, 0), (0, 1), (0, -1))
        ]
        frame.paint(union(*recti), palette["muscle"])
        frame.paint(tube([(x - side * 1, y + 10, z), (x - side * 5, y + 24, z + 1), apex], [2.6, 2.4, 2.4]), 32.0)
        gland = blob((side * 43, -76, 27), (5, 8, 7))
        frame.paint(gland, faded(palette, "muscle", -15), "head")
        ball = union(blob((x, y, z), (size, size, size)), blob((x + gaze, y - size + 5, z), (7, 7.6, 7)))
        frame.paint_layers(ball, [(0.0, 48.0), (1.3, palette["eye"])])
        if draw.chance(0.88):
            frame.paint(blob((x + gaze, y - size + 4.5, z), (4.6, 2.2, 4.6)), palette["lens"])


def paint_face_bones(frame: Frame, plan: HeadPlan, palette: Palette, draw: Draw) -> None:
    """Paints rims of the orbits, cheekbones and arches, maxilla with palate, and nasal bones."""
    hard, spongy = palette["skull_bone"], palette["diploe"]
    cortex, inside = Paint(hard.hu, hard.texture), Paint(spongy.hu - 80, spongy.texture)
    w, jaw = plan.vault[0], plan.jaw
    brow = symmetric(
        tube(
            [(4, -91, 34), (20, -91, 37), (36, -87, 37), (50, -76, 30), (54, -71, 18), (52, -70, 4)],
            [5.0, 4.5, 4.0, 4.5, 4.2, 4.5],
        )
    )
    under = symmetric(
        tube([(51, -70, 2), (36, -82, -3), (22, -87, 0), (14, -89, 10), (11, -91, 28)], [4.0, 2.6, 2.4, 2.2, 2.4])
    )
    cheek = symmetric(
        smooth_union(blob((49, -67, -9), (8, 10, 11)), ribbon([(44, -70, -16), (30, -74, -26)], [4, 3], [6, 5], 2), 6.0)
    )
    arch = symmetric(
        ribbon(
            [(52, -64, -5), (63 * w, -44, -2), (66 * w, -26, -1), (64 * w, -8, 0)],
            [3.2, 2.2, 2.0, 3.0],
            [6, 4.2, 3.4, 4.5],
            2,
        )
    )
    for shape, depth in ((brow, 1.8), (under, 1.6), (cheek, 1.6), (arch, 1.3)):
        frame.paint_layers(shape, [(0.0, cortex), (depth, inside)])
    wall = symmetric(ribbon([(52, -68, 8), (46, -54, 12), (38, -46, 14)], [2.6, 2.2, 2.2], [16, 15, 14], 2))
    frame.paint(wall, Paint(hard.hu - 100, hard.texture))
    places = arch_points("upper", jaw, 7, -36.0)
    process = symmetric(
        ribbon([(x, y + 1.5, z) for x, y, z in places], [5, 5, 5, 5.5, 6.2, 6.8, 6.5], [11] * 5 + [9, 7], 2)
    )
    frame.paint_layers(
        process, [(0.0, faded(palette, "skull_bone", -100)), (1.1, Paint(spongy.hu - 40, spongy.texture))]
    )
    spine = union(blob((0, -90, -28), (14, 6, 8)), tube([(0, -92, -25), (0, -98, -24)], [2.5, 1.2]))
    frame.paint_layers(spine, [(0.0, cortex), (1.2, inside)])
    palate = smooth_union(superellipsoid((0, -68, -27), (24 * jaw, 24, 2.0), 3.0), blob((0, -50, -27), (16, 8, 2)), 2.0)
    frame.paint(palate, Paint(0.85 * hard.hu, hard.texture))
    bridge = symmetric(
        union(
            ribbon([(3, -94, 27), (4, -100, 14), (4, -105, 4)], [2.6, 1.6, 1.0], [4, 4, 4], 0),
            tube([(10, -91, 24), (15, -89, 2), (16, -88, -18)], [3.0, 2.0, 2.4]),
        )
    )
    frame.paint(bridge, Paint(0.8 * hard.hu, hard.texture))


def paint_nose_and_sinuses(frame: Frame, plan: HeadPlan, palette: Palette, draw: Draw) -> None:
    """Paints the air of nose and sinuses inside thin walls, septum, conchae and swollen mucosa."""
    bone = Paint(0.75 * palette["skull_bone"].hu, 80.0)
    mucosa = Paint(35.0, 6.0)
    size = 0.72 + 0.28 * plan.pneumatised
    _paint_maxillary(frame, size, bone, mucosa, draw)
    cells = superellipsoid((0, -62, 18), (13.5, 24, 12), 3.0)
    frame.paint(offset(cells, 0.8), bone)
    box = frame.box(cells.low, cells.high, 1.0)
    if box is not None:
        points = frame.points(box)
        field = noise(frame, box, (8.0, 9.0, 9.0), draw.key()) + 0.3 * noise(frame, box, 4.0, draw.key())
        air = ((field.abs() - draw.uniform(0.08, 0.4)) / 0.3).clamp(0, 1) * ((points.x.abs() - 1.2) / 1.2).clamp(0, 1)
        cover = frame.coverage(cells.distance(points))
        frame.blend(box, cover, 90.0)
        frame.blend(box, cover * air, -970.0)
    nose = union(superellipsoid((0, -66, -7), (15, 27, 18), 2.6), blob((0, -80, 4), (9, 20, 20)))
    frame.paint(offset(nose, 1.1), bone)
    frame.paint(nose, mucosa)
    frame.paint(offset(nose, -1.0), -985.0)
    nostrils = symmetric(tube([(7, -114, -24), (7, -106, -19), (6, -92, -14), (6, -84, -8)], [4.6, 5.0, 4.2, 4.0]))
    frame.paint(nostrils, -985.0)
    swelling = [draw.uniform(0.75, 1.35) for _ in range(2)]
    bend = draw.normal(0, 2.2)
    for side, swollen in zip((1, -1), swelling):
        for x, y, z, rx, ry, rz, core in (
            (9, -66, -17, 4.4, 22, 6.5, 1.0),
            (7.5, -63, -4, 3.2, 18, 5.5, 0.9),
            (6, -58, 6, 2.4, 12, 4, 0.7),
        ):
            frame.paint(blob((side * x, y, z), (rx * swollen, ry, rz * (0.6 + 0.4 * swollen))), mucosa)
            frame.paint(
                ribbon(
                    [(side * (x + 1), y - 0.7 * ry, z), (side * (x + 1), y + 0.7 * ry, z)],
                    [core, core],
                    [0.65 * rz] * 2,
                    2,
                ),
                420.0,
            )
    septum = union(ribbon([(0, -104, -8), (bend, -74, 2), (0, -48, -4)], [1.5, 1.8, 1.8], [18, 24, 22], 2))
    frame.paint(septum, Paint(65.0, 15.0), "head")
    frame.paint(ribbon([(bend, -72, 4), (0, -48, -4)], [0.6, 0.7], [20, 20], 2), 450.0)
    _paint_sphenoid_and_frontal(frame, plan, size, bone, mucosa, draw)


def _paint_maxillary(frame: Frame, size: float, bone: Paint, mucosa: Paint, draw: Draw) -> None:
    """The sinuses beside the nose: three-sided in axial slices, clear, lined, with fluid, or full."""
    for side in (1, -1):
        grown = size * draw.normal(1.0, 0.07)
        sinus = prism(
            (-30, -25, -14, -2, 4),
            [27, 27, 27, 28, 28],
            [-62, -62, -62, -62, -62],
            [3.0 * grown, 8.5 * grown, 11.5 * grown, 11.0 * grown, 7.0 * grown],
            ((-1.0, 0.0), (0.62, -0.78), (0.55, 0.83)),
            rounding=1.5,
            tilted=True,
        )
        sinus = sinus if side > 0 else mirrored(sinus)
        wall, key = draw.uniform(0.9, 1.6), draw.key()
        state = draw.choice(("clear", "lined", "level", "full"), (0.66, 0.17, 0.11, 0.06))
        deep = {"clear": 0.7, "lined": draw.uniform(2, 6), "level": 0.7, "full": 99.0}[state]
        level, cyst = draw.uniform(-66, -50), draw.chance(0.12)
        box = frame.box(sinus.low, sinus.high, 4.0)
        if box is None:
            continue
        points = frame.points(box)
        distance = sinus.distance(points) + 1.3 * noise(frame, box, 12.0, key)
        frame.blend_layers(box, distance - wall, [(0.0, bone), (wall, mucosa), (wall + deep, -985.0)])
        if state == "level":  # fluid lies behind, in a patient on the back
            frame.blend(box, frame.coverage(torch.maximum(distance, level - points.y)), 22.0)
        if cyst:
            dome = blob((side * 28, -60, -26), (8, 9, 9)).distance(points)
            frame.blend(box, frame.coverage(torch.maximum(distance, dome)), 20.0)


def _paint_sphenoid_and_frontal(
    frame: Frame, plan: HeadPlan, size: float, bone: Paint, mucosa: Paint, draw: Draw
) -> None:
    split = draw.normal(0, 2.5)
    for side in (1, -1):
        grown = size * draw.normal(1.0, 0.12)
        sphenoid = blob((split + side * 9 * grown, -36, 2), (8.5 * grown, 12 * grown, 9.5 * grown))
        frame.paint(offset(sphenoid, 1.2), bone)
        filled = draw.chance(0.08)
        frame.paint(sphenoid, mucosa if filled else Paint(-985.0))
        wide = draw.uniform(6, 15) * plan.pneumatised
        high = draw.uniform(5, 15) * plan.pneumatised
        if plan.child or draw.chance(0.06):
            continue
        y = -84.0 * plan.vault[1]
        frontal = blob((split + side * (wide + 0.8), y, 34 + high), (wide, 3.6, high + 2))
        frame.paint(frontal, mucosa)
        if not draw.chance(0.05):
            frame.paint(offset(frontal, -0.6), -985.0)

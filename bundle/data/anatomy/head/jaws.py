"""Mandible, and what the mouth and both jaws hold."""

from __future__ import annotations

import torch

from bundle.data.anatomy.canvas import Paint
from bundle.data.anatomy.frame import Frame, joint_distance, noise
from bundle.data.anatomy.head.plan import HINGE, HeadPlan
from bundle.data.anatomy.head.teeth import Dentition, arch_points, paint_teeth
from bundle.data.anatomy.shapes import Shape, ellipsoid, rotation, superellipsoid, tube
from bundle.data.anatomy.solids import blob, mirrored, ribbon, ribbon_pieces, symmetric
from bundle.data.anatomy.tissues import Palette
from bundle.data.anatomy.variation import Draw

__all__ = ["jaw_frame", "paint_mandible", "paint_mouth"]


def jaw_frame(frame: Frame, plan: HeadPlan) -> Frame:
    """Coordinates that turn with the mandible about its hinge when the mouth opens."""
    turned = rotation(x_degrees=plan.open_degrees)
    moved = [sum(turned[a][b] * HINGE[b] for b in range(3)) for a in range(3)]
    return Frame(frame, [h - m for h, m in zip(HINGE, moved)], turned)


def _mandible(plan: HeadPlan, bare: float) -> list[tuple[Shape, float]]:
    """Parts of its outer surface with the widths of their seams; ``bare`` shrinks the bone around lost teeth."""
    w = plan.jaw
    body = ribbon_pieces(
        [
            (-4, -86, -78),
            (10 * w, -85, -78),
            (24 * w, -74, -76.5),
            (36 * w, -55, -74),
            (44 * w, -36, -69),
            (47 * w, -24, -62),
        ],
        [6.0, 6.0, 5.4, 5.4, 5.2, 4.4],
        [13.5, 13.0, 12.5, 12.0, 12.0, 9.0],
        2,
    )
    chin = ribbon([(-3, -89, -85), (9 * w, -88, -86)], [5.0, 4.5], [6, 5], 2)
    ramus = ribbon([(47 * w, -24, -60), (48 * w, -26, -44), (48.5, -27, -28)], [4.0, 3.4, 3.0], [15, 14.5, 15], 1)
    neck = tube([(48, -18, -28), (49, -14, -14), (50, -12, -7)], [4.5, 3.6, 4.0])
    head = ellipsoid((50, -12, -4.5), (9.5, 4.8, 4.5))
    coronoid = ribbon([(48, -34, -28), (47, -38, -10)], [2.8, 1.6], [8, 2.5], 1)
    places = arch_points("lower", w, 7, -65.0 - 3.0 * bare)
    process = ribbon_pieces(
        [(x if n else -3.0, y + 1.0, z) for n, (x, y, z) in enumerate(places)],
        [4.2, 4.2, 4.6, 5.0, 5.6, 6.0, 5.5],
        [9.0 * (1 - 0.5 * bare)] * 7,
        2,
    )
    parts = [(piece, 0.0) for piece in body] + [(chin, 3.0)] + [(piece, 3.0) for piece in process]
    parts += [(ramus, 6.0), (neck, 5.0), (head, 2.0), (coronoid, 2.0)]
    return [(side, width) for shape, width in parts for side in (shape, mirrored(shape))]


def paint_mandible(jaw: Frame, plan: HeadPlan, dentition: Dentition, palette: Palette, draw: Draw) -> None:
    """Paints the mandible with its canal, and the lower teeth.

    Args:
        jaw: from :func:`jaw_frame`.
        plan: of this head.
        dentition: states of the teeth.
        palette: HU of tissues.
        draw: for textures.
    """
    missing = sum(state == "missing" for (which, _, n), state in dentition.states.items() if which == "lower" and n < 7)
    parts = _mandible(plan, max(0.0, missing / 14 - 0.4))
    low = [min(shape.low[a] for shape, _ in parts) for a in range(3)]
    high = [max(shape.high[a] for shape, _ in parts) for a in range(3)]
    box = jaw.box(low, high, jaw.blur_mm)
    if box is None:
        return
    points = jaw.points(box)
    distance = joint_distance(jaw, box, parts)
    hard, spongy = palette["cortical_bone"], palette["trabecular_bone"]
    thickness = (2.3 - 0.9 * ((points.z + 40) / 30).clamp(0, 1)) * draw.log_normal(1.0, 0.2)
    coarse = noise(jaw, box, 8.0, draw.key())
    marrow = spongy.hu + 130 + 1.1 * spongy.texture * coarse
    if jaw.blur_mm < 2.0:
        marrow = marrow + 1.3 * spongy.texture * noise(jaw, box, 2.2, draw.key())
    cortex = Paint(hard.hu + 230, hard.texture)
    jaw.blend_layers(box, distance, [(0.0, cortex), (thickness, marrow)])
    canal = symmetric(tube([(46, -26, -44), (45, -34, -66), (36, -56, -78), (24, -74, -77), (27, -78, -74)], [1.4] * 5))
    jaw.paint(canal, 20.0)
    if draw.chance(0.03):  # a plate with screws
        jaw.paint(
            ribbon([(40, -56, -80), (30, -72, -82), (14, -88, -82)], [1.3] * 3, [3.0] * 3, 2), palette["titanium"]
        )
    paint_teeth(jaw, "lower", plan.jaw, dentition, palette, draw)


def paint_mouth(frame: Frame, plan: HeadPlan, draw: Draw) -> None:
    """Paints the air in the mouth: wide in an open one, gaps beside the teeth and over the tongue in a closed one."""
    if plan.open_degrees > 3.5:
        _paint_open_mouth(frame, plan, draw)
        return
    if draw.chance(0.6):
        high = draw.uniform(0.6, 4.5)
        frame.paint(blob((draw.normal(0, 3), -60, -36), (16, 26, high)), -990.0)
    if draw.chance(0.35):
        frame.paint(symmetric(ribbon([(31, -78, -52), (38, -58, -52)], [1.5, 1.2], [7, 6], 2)), -950.0)


def _paint_open_mouth(frame: Frame, plan: HeadPlan, draw: Draw) -> None:
    """Air between the arches and under the palate, above a tongue that lies low, and between the lips."""
    opening = 0.95 * plan.open_degrees  # mm between the front teeth's edges, about 1 per degree and 55 mm of radius
    middle = -51.0 - 0.5 * opening
    back = draw.uniform(18, 30)
    hollow = superellipsoid((0, -66, -43 - 0.4 * opening), (24 * plan.jaw, back, 8 + 0.45 * opening), 2.6)
    gap = superellipsoid((0, -82, middle), (26 * plan.jaw, 24, 0.5 * opening), 2.4)
    lips = superellipsoid((0, -106, middle), (17, 12, 0.36 * opening), 2.2)
    tongue = blob((draw.normal(0, 2), -58, -62 - 0.55 * opening), (25 * plan.jaw, 36, 20 + draw.normal(0, 2)))
    parts = [(hollow, 0.0), (gap, 4.0), (lips, 3.0)]
    low = [min(shape.low[a] for shape, _ in parts) for a in range(3)]
    high = [max(shape.high[a] for shape, _ in parts) for a in range(3)]
    box = frame.box(low, high, frame.blur_mm)
    if box is None:
        return
    air = joint_distance(frame, box, parts)
    points = frame.points(box)
    air = torch.maximum(air, -tongue.distance(points)) + 1.2 * noise(frame, box, 9.0, draw.key())
    frame.blend(box, frame.coverage(air), -990.0)

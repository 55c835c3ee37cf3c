"""Skin and fat of head, neck and shoulders, and the muscles of the neck."""

from __future__ import annotations

import torch
from torch import Tensor

from bundle.data.anatomy.canvas import Box
from bundle.data.anatomy.frame import Frame, joint_distance, noise
from bundle.data.anatomy.head.plan import HINGE, HeadPlan
from bundle.data.anatomy.muscles import Muscle, paint_muscles
from bundle.data.anatomy.shapes import (
    Points,
    Shape,
    column,
    ellipsoid,
    interpolate,
    rotation,
    smooth_union,
    tube,
    union,
)
from bundle.data.anatomy.solids import barrel, blob, hinged, mirrored, ribbon, symmetric
from bundle.data.anatomy.tissues import Palette
from bundle.data.anatomy.variation import Draw

__all__ = ["paint_outline"]


def paint_outline(frame: Frame, plan: HeadPlan, palette: Palette, draw: Draw) -> None:
    """Paints skin, subcutaneous fat, the neck's muscles and the bulk of the shoulders.

    Args:
        frame: head coordinates.
        plan: of this head.
        palette: HU of tissues.
        draw: for shapes and textures.
    """
    parts = _outline(plan, draw.part("outline"))
    low = [min(shape.low[a] for shape, _ in parts) for a in range(3)]
    high = [max(shape.high[a] for shape, _ in parts) for a in range(3)]
    box = frame.box(low, high, frame.blur_mm)
    if box is None:
        return
    points = frame.points(box)
    distance = joint_distance(frame, box, parts)
    under = plan.skin_mm + _fat_depth(points, plan) * (1 + 0.2 * noise(frame, box, 45.0, draw.key()))
    frame.blend_layers(box, distance, [(0.0, palette["skin"]), (plan.skin_mm, palette["fat"])])
    _paint_ears(frame, palette, draw.part("ears"))
    _paint_scalp(frame, box, points, distance + under, palette)
    inside = torch.zeros(frame.shape, device=frame.device)
    inside[box] = frame.coverage(distance + plan.skin_mm)
    frame.regions["head"] = inside
    _paint_neck(frame, distance, under, box, plan, palette, draw.part("neck"))


def _outline(plan: HeadPlan, draw: Draw) -> list[tuple[Shape, float]]:
    """The parts of the skin without the ears, with the widths of their seams."""
    w, length, h = plan.vault
    scalp = plan.skull_mm + 4.0 + 0.4 * plan.fat_mm
    back = blob((0, 14, 46), (67 * w + scalp, 69 * length + scalp, 66 * h + scalp))
    front = blob((0, -30, 56), (57 * w + scalp, 58 * length + scalp, 53 * h + scalp))
    fat, jaw = plan.fat_mm - 5.5, plan.jaw
    face = barrel(
        (-98, -88, -72, -55, -35, -12, 12, 40),
        [-36, -36, -36, -35, -34, -33, -32, -30],
        [
            (38 + fat) * jaw,
            (47 + fat) * jaw,
            (54 + fat) * jaw,
            (59 + fat) * jaw,
            63 + 0.8 * fat,
            69 + 0.4 * fat,
            69,
            66,
        ],
        [52, 60, 65, 68, 69, 68, 67, 70],
        [20, 30, 40, 50, 55, 55, 55, 60],
    )
    chin = hinged(blob((0, -84, -82), (24 * jaw, 18 + 0.3 * fat, 18)), HINGE, plan.open_degrees)
    jaws = hinged(
        symmetric(ribbon([(0, -84, -78), (30 * jaw, -66, -78), (47 * jaw, -26, -62)], [12, 13 + fat, 13 + fat],
                         [17, 17 + 0.5 * fat, 20], 2)),
        HINGE, plan.open_degrees)  # fmt: skip
    reach = draw.normal(0.0, 3.0)
    nose = smooth_union(
        tube([(0, -94, 24), (0, -108 - 0.6 * reach, 2), (0, -117 - reach, -15)], [7.5, 9, 10]),
        symmetric(ellipsoid((9, -108, -18), (8, 10, 8))), 8.0)  # fmt: skip
    lips = union(blob((0, -101, -46), (26, 9, 8)), hinged(blob((0, -98, -56), (25, 9, 9)), HINGE, plan.open_degrees))
    thick = (plan.fat_mm - 5.5) * 1.2 + 3 * (plan.bulk - 1) * 10
    neck = column(
        (-260, -205, -182, -165, -148, -130, -110, -85, -60, -30, 5),
        [0] * 11,
        [22, 20, 18, 17, 16, 15, 14, 14, 15, 18, 20],
        [215, 200, 172, 118, 78 + thick, 62 + thick, 57 + thick, 57 + thick, 60 + thick, 62, 58],
        [110, 100, 82, 66, 58, 56 + thick, 62 + 0.8 * thick, 62 + 0.8 * thick, 54, 45, 40],
        [105, 98, 88, 78, 66 + thick, 57 + thick, 53 + thick, 54 + thick, 58 + 0.7 * thick, 62, 60],
    )
    eyes = symmetric(blob((33, -81, 17), (17, 12, 16)))
    return [(back, 0.0), (front, 30.0), (face, 14.0), (neck, 26.0), (jaws, 14.0), (chin, 10.0), (eyes, 10.0),
            (lips, 8.0), (nose, 9.0)]  # fmt: skip


def _fat_depth(points: Points, plan: HeadPlan) -> Tensor:
    """Thickness in mm of the subcutaneous fat."""
    heights = (-200, -150, -90, -50, -20, 20, 50)
    share = (1.2, 1.0, 0.9, 1.1, 1.0, 0.6, 0.45)
    return plan.fat_mm * interpolate(heights, share, points.level) + 0.5


def _paint_scalp(frame: Frame, box: Box, points: Points, under: Tensor, palette: Palette) -> None:
    """Galea and the thin muscles under the scalp's fat."""
    if float(points.z.max()) < 25.0:
        return
    high = ((points.z - 25.0) / 12.0).clamp(0, 1) * 0.75
    frame.blend(box, frame.coverage(under) * high, palette["muscle"])


def _paint_ears(frame: Frame, palette: Palette, draw: Draw) -> None:
    """Pinnae: a lobed plate, hollow towards the outside."""
    out, back = draw.normal(20, 6), draw.normal(0, 3)
    turned = rotation(x_degrees=-12, y_degrees=-8, z_degrees=-out)
    plate = ellipsoid((77, 12 + back, 6), (3.2, 17, 31), turned)
    rim = ellipsoid((79, 15 + back, 8), (5.0, 17, 29), turned)
    hollow = ellipsoid((82, 10 + back, 6), (5.5, 13, 24), turned)
    for side in (1, -1):
        shapes = [plate, rim, hollow] if side > 0 else [mirrored(s) for s in (plate, rim, hollow)]
        area = frame.box(shapes[1].low, shapes[1].high, 2.0)
        if area is None:
            continue
        points = frame.points(area)
        solid = torch.minimum(
            shapes[0].distance(points), torch.maximum(shapes[1].distance(points), -shapes[2].distance(points))
        )
        frame.blend(area, frame.coverage(solid), palette["skin"].hu + 10.0)


_NECK: dict[str, Muscle] = {
    "sternocleidomastoid": Muscle((-178, -150, -110, -70, -35, -12), (20, 32, 43, 51, 57, 60),
                                  (-34, -30, -16, 2, 12, 18), (8, 13, 15, 14, 12, 6), 0.5, 55),
    "trapezius": Muscle((-215, -165, -130, -95, -50, -15), (90, 60, 42, 30, 22, 14), (48, 52, 58, 62, 68, 74),
                        (60, 40, 26, 20, 15, -2), 0.26, -24),
    "splenius": Muscle((-185, -120, -60, -20), (10, 22, 32, 46), (56, 50, 48, 44), (-2, 16, 18, 10), 0.42, -35),
    "semispinalis": Muscle((-215, -120, -60, -20), (14, 13, 14, 16), (46, 44, 50, 58), (14, 14, 15, 10), 0.8, 70),
    "multifidus": Muscle((-215, -120, -62, -50), (12, 12, 12, 12), (34, 30, 32, 34), (12, 10, 8, -2), 0.9),
    "suboccipital": Muscle((-62, -50, -30, -18), (16, 18, 20, 22), (30, 34, 38, 42), (-2, 13, 14, 6), 0.8, 20),
    "levator": Muscle((-185, -130, -80, -38), (62, 42, 36, 32), (40, 30, 22, 14), (14, 11, 9, -2), 0.7, -40),
    "scalenus": Muscle((-200, -150, -100, -60), (48, 36, 28, 24), (-2, 2, 4, 6), (12, 12, 9, -2), 0.75, -20),
    "longus": Muscle((-190, -110, -60, -24), (8, 9, 9, 8), (0, -8, -8, -12), (5, 7, 7, 7), 0.55, 10),
    "sternohyoid": Muscle((-185, -130, -88), (12, 9, 8), (-40, -38, -42), (10, 9, -2), 0.32, 25),
}  # fmt: skip


def _paint_neck(
    frame: Frame, distance: Tensor, under: Tensor, box: Box, plan: HeadPlan, palette: Palette, draw: Draw
) -> None:
    lower = frame.box((-400, -200, -400), (400, 200, -4), 0.0)
    if lower is None:
        return
    stop = min(lower[2].stop, box[2].stop)
    if stop <= box[2].start:
        return
    part = (slice(None), slice(None), slice(0, stop - box[2].start))
    area = (box[0], box[1], slice(box[2].start, stop))
    envelope = distance[part] + under[part]
    points = frame.points(area)
    # behind the jaw only: further forward the neck is the floor of the mouth
    front = -8.0 - points.y + (points.z + 84.0).clamp(max=0) * 3.0
    envelope = torch.maximum(envelope, front)
    both = []
    for muscle in _NECK.values():
        both += [muscle, _other_side(muscle)]
    streaks = draw.uniform(0.0, 0.2)
    shoulder = ((-150.0 - points.level) / 30.0).clamp(0, 1)
    slack = plan.bulk**3 * 4.0 + 25.0 * shoulder
    paint_muscles(
        frame, area, envelope, both, palette["muscle"], draw, plan.bulk, slack, draw.uniform(1.0, 2.2), streaks
    )


def _other_side(muscle: Muscle) -> Muscle:
    return Muscle(muscle.levels, [-x for x in muscle.x], muscle.y, muscle.radius, muscle.ratio, -muscle.degrees)

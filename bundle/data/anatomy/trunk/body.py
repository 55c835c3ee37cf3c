"""Skin, fat and muscle of the trunk, with breasts, shoulders, arms and thighs."""

from __future__ import annotations

import torch
from torch import Tensor

from bundle.data.anatomy.canvas import Canvas
from bundle.data.anatomy.shapes import Points, Shape, ellipsoid, interpolate, tube
from bundle.data.anatomy.tissues import Palette
from bundle.data.anatomy.trunk.frame import Frame
from bundle.data.anatomy.variation import Draw, lattice_field
from bundle.data.anatomy.vessels import Tubes, paint_tube_layers

__all__ = ["arm_course", "leg_course", "paint_body"]


def arm_course(frame: Frame, side: int, draw: Draw) -> list[tuple[float, float, float]]:
    """Shoulder joint, elbow, wrist and fingertips in mm; ``side`` is 1 for the left."""
    s = frame.scale
    if frame.arms == "up":
        joint = frame.at(side * 158, 28, 458)
        elbow = (joint[0] + side * draw.uniform(-10, 70) * s, joint[1] + draw.uniform(-60, 10) * s, joint[2] + 270 * s)
        wrist = (side * draw.uniform(20, 120) * s, elbow[1] - 40 * s, elbow[2] + 90 * s)
        return [joint, elbow, wrist, (0.3 * wrist[0], wrist[1], wrist[2] + 50 * s)]
    joint = frame.at(side * 168, 30, 436)
    clear = 0.55 * frame.fat_mm + 0.5 * frame.belly_mm + draw.uniform(0, 25)
    elbow = (side * (208 * s * frame.width + clear), draw.uniform(20, 60) * s, joint[2] - 300 * s)
    if frame.arms == "down":
        wrist = (elbow[0] + side * draw.uniform(-15, 20) * s, draw.uniform(-30, 40) * s, elbow[2] - 250 * s)
        return [joint, elbow, wrist, (wrist[0], wrist[1] - 10 * s, wrist[2] - 170 * s)]
    return [joint, (elbow[0] + side * 160 * s, elbow[1], joint[2] - 160 * s)]


def leg_course(frame: Frame, side: int) -> list[tuple[float, float, float]]:
    """Middle of the thigh at hip, mid-thigh and knee, mm."""
    s, w = frame.scale, frame.width
    apart = 0.25 * frame.fat_mm
    return [
        (side * 90 * s * w, 4 * s, -125 * s),
        (side * (92 * s * w + apart), 4 * s, -280 * s),
        (side * (90 * s * w + apart), 12 * s, -470 * s),
    ]


def paint_body(canvas: Canvas, frame: Frame, palette: Palette, draw: Draw) -> None:
    """Paints the body's outside and its muscles, and marks the regions ``body`` and ``flesh`` (under the skin)."""
    draw = draw.part("body")
    s, m = frame.scale, 1 + 0.5 * (frame.muscle - 1)
    limbs: list[Shape] = []
    for side in (-1, 1):
        limbs.append(tube(leg_course(frame, side), [84 * s * m, 74 * s * m, 58 * s * m]))
        arm = arm_course(frame, side, draw)
        neck, above = frame.at(side * 45, 48, 478), frame.at(side * 110, 42, 462)
        limbs.append(tube([neck, above, arm[0]], [36 * s, 42 * s * m, 46 * s * m]))
        limbs.append(tube(arm, [r * s * m for r in (46, 38, 22, 15)[: len(arm)]]))
    if not frame.female and not frame.child:
        limbs.append(ellipsoid(frame.at(draw.normal(0, 8), -62, -172), (32 * s, 26 * s, 32 * s)))
    box = canvas.all_voxels
    points = canvas.points(box)
    lean = frame.lean_body().distance(points)
    lean = lean.expand(canvas.shape).clone()
    blend = 45 * s
    for limb in limbs:
        near = canvas.box(limb.low, limb.high, blend + 1.6 * frame.fat_mm)
        if near is not None:  # the seam is filled by a polynomial smooth minimum
            other, own = limb.distance(canvas.points(near)), lean[near]
            gap = (blend - (own - other).abs()).clamp(min=0)
            own.copy_(torch.minimum(own, other) - gap * gap * (0.25 / blend))
    fat = _fat_thickness(canvas, frame, draw)
    body = lean - fat
    body = _breasts(canvas, frame, body, draw) if frame.female and not frame.child else body
    body = _pressed(canvas, frame, points, body, draw)
    skin = draw.uniform(1.6, 2.6)
    canvas.blend_layers(box, body, [(0.0, palette["skin"]), (skin, palette["fat"])])
    region = canvas.coverage(body)
    canvas.regions["body"] = region
    canvas.regions["body_depth"] = -body
    canvas.regions["flesh"] = canvas.coverage(body + skin + 2.0 * s)
    _strands(canvas, palette, canvas.regions["body_depth"], draw)
    canvas.blend(box, canvas.coverage(lean), palette["muscle"])
    _muscle_planes(canvas, frame, palette, lean, draw)


def _fat_thickness(canvas: Canvas, frame: Frame, draw: Draw) -> Tensor:
    thickness = lattice_field(canvas.axes, 70.0, draw.key())
    for part, _ in canvas.slabs(canvas.all_voxels):
        vary = 1 + 0.16 * thickness[part].clamp_(-2, 2)
        thickness[part] = (frame.fat_mm * vary * _fat_share(frame, canvas.points(part))).clamp_(min=2.5)
    return thickness


def _fat_share(frame: Frame, points: Points) -> Tensor:
    level = points.level / frame.scale
    zs = (-450, -250, -110, -20, 60, 140, 230, 330, 420, 480, 560)
    front = interpolate(zs, (0.7, 0.8, 0.9, 1.3, 1.35, 1.1, 0.7, 0.55, 0.5, 0.4, 0.35), level)
    back = interpolate(zs, (0.7, 0.9, 1.35, 1.2, 0.95, 0.7, 0.55, 0.5, 0.6, 0.6, 0.4), level)
    sides = interpolate(zs, (0.7, 0.95, 1.25, 1.2, 0.9, 0.65, 0.5, 0.5, 0.5, 0.4, 0.35), level)
    y, x = points.y / (90 * frame.scale), (points.x / (140 * frame.scale)).abs()
    ahead = torch.sigmoid(-4 * y)
    aside = torch.sigmoid(8 * (x - 0.72))
    share = (front * ahead + back * (1 - ahead)) * (1 - aside) + sides * aside
    if frame.arms != "up":
        share = share * (1 - 0.4 * torch.sigmoid(12 * (x - 1.35)))
    return share


def _breasts(canvas: Canvas, frame: Frame, body: Tensor, draw: Draw) -> Tensor:
    s = frame.scale
    size = min(max(frame.fat_mm / 24, 0.6), 1.5) * draw.log_normal(1.0, 0.2)
    for side in (-1, 1):
        centre = frame.at(side * draw.normal(78 + 14 * size, 6), -92, 318 - 8 * size)
        breast = ellipsoid(centre, ((46 + 14 * size) * s, (16 + 22 * size) * s, (48 + 12 * size) * s))
        box = canvas.box(breast.low, breast.high, 40 * s)
        if box is not None:
            own, other = body[box], breast.distance(canvas.points(box))
            gap = (35 * s - (own - other).abs()).clamp(min=0)
            own.copy_(torch.minimum(own, other) - gap * gap / (140 * s))
    return body


def _pressed(canvas: Canvas, frame: Frame, points: Points, body: Tensor, draw: Draw) -> Tensor:
    """The back flattened by the couch, the cleft of the buttocks and the gap between the thighs."""
    s = frame.scale
    support = 103 * s * frame.depth + draw.uniform(0.35, 0.75) * frame.fat_mm
    canvas.support_mm = support
    y = canvas.axes[1][None, :, None]
    below, blend = y - support, 12.0 * s
    gap = (blend - (body - below).abs()).clamp(min=0)
    body = torch.maximum(body, below) + gap * gap * (0.25 / blend)
    low, high = (-40 * s, -150 * s, -1e4), (40 * s, 200 * s, -45 * s)
    box = canvas.box(low, high)
    if box is not None:
        near = canvas.points(box)
        depth = ((-near.z / s - 50) / 90).clamp(0, 1) * 45 * s  # of the cleft
        back = support - depth
        cleft = (7 * s * ((near.y - back) / (40 * s)).clamp(0, 1) + 0.6 - near.x.abs()).minimum(near.y - back)
        apart = ((-near.z / s - 178) * 0.4).clamp(max=4.0) - near.x.abs()
        own = body[box]
        own.copy_(torch.maximum(own, torch.maximum(cleft, apart)))
    return body


def _strands(canvas: Canvas, palette: Palette, depth: Tensor, draw: Draw) -> None:
    """Fibrous strands and vessels in the fat, as sheets where a random field changes its sign."""
    field = lattice_field(canvas.axes, (16.0, 16.0, 28.0), draw.key())
    strength = 0.13 * draw.log_normal(1.0, 0.4) * (palette["muscle"].hu - palette["fat"].hu)
    for part, _ in canvas.slabs(canvas.all_voxels):
        sheet = (1 - field[part].abs() * 5.0).clamp_(min=0)
        fade = (depth[part] / 4 - 0.5).clamp_(0, 1)
        canvas.hu[part] += (sheet * fade).mul_(canvas.regions["body"][part]).mul_(strength)


def _muscle_planes(canvas: Canvas, frame: Frame, palette: Palette, lean: Tensor, draw: Draw) -> None:
    """Fat planes between muscles and, in the elderly and obese, fat within them."""
    s = frame.scale
    infiltration = draw.log_normal(1.0, 0.5) * (0.8 + frame.fat_mm / 80)
    deep = draw.uniform(8, 14) * s * frame.muscle
    planes = [(wide * s, min(thick * s * infiltration, 5.5)) for wide, thick in ((34.0, 2.6), (48.0, 3.4))]
    fields = [lattice_field(canvas.axes, (wide, wide, 4 * wide), draw.key()) for wide, _ in planes]
    narrow = lattice_field(canvas.axes, (11.0 * s, 11.0 * s, 40.0 * s), draw.key())
    for part, _ in canvas.slabs(canvas.all_voxels):
        own = lean[part]
        # where it crosses zero a field changes by about 1.5 per lattice spacing
        sheets = [
            _sheet(canvas, field[part].abs() * (wide / 1.5), thick) for field, (wide, thick) in zip(fields, planes)
        ]
        share = torch.maximum(*sheets)
        share = share * (1 - 0.75 * (1.7 + own / deep).clamp_(0, 1))  # few planes cross the broad muscles
        # these lie on others, as sheets
        away = (own + deep * (1 + 0.3 * fields[1][part])).abs_()
        share = torch.maximum(share, _sheet(canvas, away, min(1.5 * s * infiltration, 4.0)))
        share = torch.maximum(share, (0.22 * infiltration * (narrow[part] - 1.1)).clamp_(0, 0.7))
        canvas.blend(part, share * (-own / 4).clamp_(0, 1), palette["fat"])
    groins = []
    for side in (-1, 1):
        line = [
            (side * 68 * s, -46 * s, -85 * s),
            (side * 72 * s, -58 * s, -120 * s),
            (side * 82 * s, -40 * s, -260 * s),
        ]
        groins.append(Tubes.polyline(line, [15 * s, 18 * s, 9 * s]))
        fossa = [(side * 30 * s, 52 * s, -118 * s), (side * 30 * s, 62 * s, -150 * s)]
        groins.append(Tubes.polyline(fossa, [15 * s, 19 * s]))
    paint_tube_layers(canvas, Tubes.joined(groins), [(0.0, palette["fat"])])


def _sheet(canvas: Canvas, away: Tensor, thickness: float) -> Tensor:
    """The share of voxels in a sheet, from the distance to its middle in mm."""
    share = ((thickness + canvas.blur_mm) / 2 - away).clamp_(min=0).div_(canvas.blur_mm).clamp_(max=1.0)
    return share.mul_(min(1.0, thickness / canvas.blur_mm))

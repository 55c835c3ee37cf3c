"""What some legs have: effusions, tumours, prostheses, screws, nails and plates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from bundle.data.anatomy.canvas import Paint
from bundle.data.anatomy.frame import Frame, noise
from bundle.data.anatomy.shapes import Points, Shape, box, ellipsoid, rotation, superellipsoid, tube, union
from bundle.data.anatomy.solids import ribbon
from bundle.data.anatomy.tissues import Palette
from bundle.data.anatomy.variation import Draw

__all__ = ["Extras", "draw_extras", "paint_implants", "paint_lesions"]


@dataclass(frozen=True)
class Extras:
    """What one leg has beyond the ordinary.

    Args:
        effusion_mm: by how much fluid distends the joint; 0 for none.
        swelling: factor to the girth.
        tumour: "thigh", "calf", "popliteal" or None.
        implant: "prosthesis", "screws", "nail", "plate" or None.
    """

    effusion_mm: float
    swelling: float
    tumour: str | None
    implant: str | None


def draw_extras(draw: Draw, rate: float = 1.0) -> Extras:
    """Draws the extras of one leg; ``rate`` scales the chance of every one."""
    effusion = draw.uniform(1, 8) if draw.chance(0.25 * rate) else 0.0
    tumour = draw.choice(("thigh", "calf", "popliteal")) if draw.chance(0.22 * rate) else None
    implant = draw.choice(("prosthesis", "screws", "nail", "plate"), (5, 6, 2, 3)) if draw.chance(0.13 * rate) else None
    swelling = draw.uniform(1.04, 1.18) if tumour in ("thigh", "calf") else 1.0
    return Extras(effusion, swelling, tumour, implant)


def paint_lesions(frame: Frame, extras: Extras, palette: Palette, draw: Draw) -> None:
    """Paints a soft-tissue tumour: lobulated, often with a dead centre, sometimes fatty or calcified."""
    place = {"thigh": (0, -6, 150), "calf": (4, 34, -140), "popliteal": (0, 34, 34)}
    if extras.tumour is None:
        return
    size = {"thigh": draw.log_normal(38, 0.3), "calf": draw.log_normal(30, 0.3), "popliteal": draw.log_normal(20, 0.2)}
    radius = size[extras.tumour]
    centre = [c + draw.normal(0, s) for c, s in zip(place[extras.tumour], (14, 8, 30))]
    if extras.tumour == "thigh":
        centre[0] += draw.choice((-30, 34))
        centre[1] += draw.choice((-26, 30))
    long = draw.uniform(1.0, 1.9)
    body = ellipsoid(centre, (radius, radius * draw.uniform(0.7, 1.0), radius * long))
    area = frame.box(body.low, body.high, 6.0)
    if area is None:
        return
    distance = body.distance(frame.points(area))
    distance = distance + 0.1 * radius * noise(frame, area, 0.7 * radius, draw.key())
    tumour, kind = palette["tumour"], draw.choice(("solid", "dead", "fatty"), (5, 4, 2))
    grain = noise(frame, area, 9.0, draw.key()) + noise(frame, area, 20.0, draw.key())
    if kind == "fatty":
        value = -95 + 60 * (grain - draw.uniform(0.2, 1.2)).clamp(0, 1.6)
    else:
        value = tumour.hu + 0.7 * tumour.texture * grain
    if kind == "dead":
        core = frame.coverage((distance + radius * draw.uniform(0.25, 0.5)) * 0.4 + 1.5 * grain)
        value = value + core * (draw.uniform(5, 20) - value)
    held = frame.regions["leg"][area] if "leg" in frame.regions else 1.0
    frame.blend(area, frame.coverage(distance) * held, value)
    if draw.chance(0.15):
        spots = frame.coverage(distance + 0.3 * radius) * (1.5 * (grain - 1.9)).clamp(0, 1)
        frame.blend(area, spots, palette["calcification"])


def paint_implants(frame: Frame, extras: Extras, bones: Mapping[str, Shape], palette: Palette, draw: Draw) -> None:
    """Paints metal in and on the bones."""
    metal = palette[draw.choice(("titanium", "steel"))]
    if extras.implant == "prosthesis":
        _prosthesis(frame, bones, palette, metal, draw)
    elif extras.implant == "screws":
        for _ in range(draw.integer(1, 3)):
            height = draw.choice((draw.uniform(12, 40), draw.uniform(-45, -12)))
            _screw(
                frame, (draw.choice((-1, 1)) * 34.0, draw.uniform(-8, 12), height), draw.uniform(28, 66), metal, draw
            )
    elif extras.implant == "nail":
        if draw.chance(0.5):
            places = [(0, 0, 30), (1, -4, 100), (3, -14, 220), (0, -6, 420)]
        else:
            places = [(-1, -14, -14), (-4, -4, -70), (-6, -1, -200), (-4, 3, -370)]
        frame.paint(tube(places, [5.0] * 4), metal)
    elif extras.implant == "plate":
        upper = draw.chance(0.5)
        knots = (
            [(38, 0, 20), (33, -2, 50), (20, -6, 90), (18, -8, 170)]
            if upper
            else [(38, 0, -14), (28, -2, -40), (14, -3, -80), (12, -2, -150)]
        )
        frame.paint(ribbon(knots, [2.0] * 4, [8.0, 7.0, 6.0, 6.0], 1), metal)
        for share in (0.0, 0.05, 0.4, 0.6, 0.8):
            z = knots[0][2] + share * (knots[-1][2] - knots[0][2])
            x = 36 if share < 0.1 else 18
            _screw(frame, (x, draw.uniform(-6, 6) - 2, z), 62.0 if share < 0.1 else 36.0, metal, draw)


def _screw(frame: Frame, place: Sequence[float], length: float, metal: Paint, draw: Draw) -> None:
    """A screw from a place on one side towards the other."""
    x, y, z = place
    way = -1.0 if x > 0 else 1.0
    end = (x + way * length, y + draw.normal(0, 5), z + draw.normal(0, 6))
    frame.paint(union(tube([place, end], [2.2, 1.8]), tube([(x - way, y, z), (x + 2 * way, y, z)], [3.6, 2.6])), metal)


def _prosthesis(frame: Frame, bones: Mapping[str, Shape], palette: Palette, metal: Paint, draw: Draw) -> None:
    """A total knee: shell on the condyles, insert of polyethylene, tray with keel, cement."""
    femur = bones["femur"]
    gap = superellipsoid((0, 4, 0), (38, 26, 8.5), 3.0)
    frame.paint(gap, Paint(20, 10))
    insert = superellipsoid((0, 3, -2.5), (37, 25, 5.2), 3.2)
    frame.paint(insert, palette["polyethylene"])
    keel = union(
        superellipsoid((0, 3, -8.5), (37, 25, 2.2), 3.2),
        tube([(0, 3, -9), (0, 5, -46)], [8, 6]),
        box((0, 6, -22), (19, 3, 13), rotation(0, 0, 0), 2),
    )
    frame.paint(box((0, 3, -12.5), (33, 21, 2.5), rounding=2), palette["bone_cement"])
    frame.paint(keel, metal)

    def shell(points: Points) -> torch.Tensor:
        outer = femur.distance(points) - 1.0
        low = torch.minimum(points.z - 20.0, torch.maximum(points.y + 14.0, points.z - 48.0))
        low = torch.minimum(low, torch.maximum(22.0 - points.y, points.z - 34.0))
        return torch.maximum(torch.maximum(outer, -8.0 - outer), low)

    frame.paint(Shape(shell, (-42, -40, -2), (42, 42, 50)), metal)
    frame.paint(ellipsoid((1, -37, 36), (14, 5, 14)), palette["polyethylene"])

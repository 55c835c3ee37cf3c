"""Cranial vault and skull base, in head coordinates.

The vault has an outer table, diploe and an inner table (6 to 7 mm together, thinner at the temples: Lynnerup 2001,
Forensic Sci Int 117:45); the petrous bone is the densest of the body, above 1500 HU.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bundle.data.anatomy.canvas import Box, Paint
from bundle.data.anatomy.frame import Frame, noise
from bundle.data.anatomy.head.plan import HeadPlan
from bundle.data.anatomy.shapes import Points, tube, union
from bundle.data.anatomy.solids import blob, ribbon, symmetric
from bundle.data.anatomy.tissues import Palette
from bundle.data.anatomy.variation import Draw

__all__ = ["Cranium", "cranial_cavity", "paint_base", "paint_base_air", "paint_ear_implant", "paint_vault"]


@dataclass(frozen=True)
class Cranium:
    """The brain's cavity on the grid.

    Args:
        box: the voxels that skull and brain can be in.
        inner: signed distance in mm to the inner surface of the skull, in the shape of the box.
        points: head coordinates of the box.
    """

    box: Box
    inner: Tensor
    points: Points


def cranial_cavity(frame: Frame, plan: HeadPlan) -> Cranium | None:
    """The cavity of the cranium, or None if the field does not reach it."""
    w, length, h = plan.vault
    edge = plan.skull_mm + 5.0
    box = frame.box(
        (-74 * w - edge, -92 * length - edge, -34), (74 * w + edge, 86 * length + edge, 114 * h + edge), 1.0
    )
    if box is None:
        return None
    points = frame.points(box)
    back = blob((0, 14, 46), (67 * w, 69 * length, 66 * h)).distance(points)
    front = blob((0, -30, 58), (57 * w, 58 * length, 51 * h)).distance(points)
    inner = _smooth_minimum(back, front, 26.0)
    middle = symmetric(blob((36 * w, -20, 14), (26 * w, 30, 20)))
    rear = blob((0, 36, 0), (50 * w, 42 * length, 28))
    for extra in (middle, rear):
        inner = _smooth_minimum(inner, extra.distance(points), 12.0)
    ridge = symmetric(tube([(62 * w, 8, -2), (18, -14, 0)], [14.0, 8.0])).distance(points)
    inner = -_smooth_minimum(-inner, ridge, 8.0)
    clivus = tube([(0, -34, -2), (0, -22, 6), (0, -7, -18), (0, -5, -30)], [14, 8, 6, 5]).distance(points)
    inner = -_smooth_minimum(-inner, clivus, 6.0)
    nose = blob((0, -70, 6), (22, 34, 22)).distance(points)  # the roof of nose and orbits bulges into the cavity
    orbit = symmetric(tube([(33, -76, 17), (18, -40, 18)], [21, 10])).distance(points)
    inner = -_smooth_minimum(-inner, torch.minimum(nose, orbit), 6.0)
    return Cranium(box, inner, points)


def paint_vault(frame: Frame, cranium: Cranium, plan: HeadPlan, palette: Palette, draw: Draw) -> None:
    """Paints outer table, diploe and inner table around the cavity, and fluid inside it."""
    box, points = cranium.box, cranium.points
    x, y, z = points.x, points.y, points.z
    temple = (-(((z - 22) / 34).square() + ((y + 12) / 36).square())).exp() * (x.abs() / 66).clamp(0, 1).square()
    low = ((28 - z) / 30).clamp(0, 1)
    thickness = plan.skull_mm * (1 - 0.5 * temple) * (1 - 0.3 * low * ((10 - y) / 40).clamp(0, 1))
    thickness = thickness * (1 + 0.16 * noise(frame, box, 32.0, draw.key())).clamp(0.6, 1.5)
    keel = (-(((z - 18) / 14).square() + (x / 14).square())).exp() * (y > 40)  # the occipital protuberance
    brow = (-(((z - 36) / 13).square() + (x / 26).square())).exp() * ((-y - 60) / 15).clamp(0, 1)
    thickness = thickness + 6.0 * keel + (2.0 if plan.child else 7.0) * brow
    outer = cranium.inner - thickness
    magnum = tube([(0, 16, -60), (0, 15, 0)], [16.5, 15.0]).distance(points)
    solid = torch.maximum(outer, -magnum)
    share = draw.uniform(0.27, 0.42)
    hard, spongy = palette["skull_bone"], palette["diploe"]
    tables = Paint(hard.hu + 430, hard.texture)
    grain = spongy.hu + 140 + spongy.texture * noise(frame, box, 7.0, draw.key())
    if frame.blur_mm < 2.0:
        grain = grain + 0.7 * spongy.texture * noise(frame, box, 2.4, draw.key())
    sutures = noise(frame, box, 55.0, draw.key()).abs() * 25 + 0.8 * noise(frame, box, 5.0, draw.key())
    seam = (1 - sutures.abs() / 0.9).clamp(0, 1) * (0.55 if plan.child else draw.uniform(0.0, 0.35)) * (z > 20)
    inner_from = (thickness * (1 - share)).clamp(min=0.8)
    layers: list[tuple[float | Tensor, Paint | Tensor | float]] = [(0.0, tables), (share * thickness, grain)]
    layers += [(inner_from, tables), (thickness, palette["csf"])]
    frame.blend_layers(box, solid, layers)
    gap = seam * frame.coverage(outer) * (1 - frame.coverage(cranium.inner))
    frame.blend(box, gap, 120.0)


def paint_base(frame: Frame, plan: HeadPlan, palette: Palette, draw: Draw) -> None:
    """Paints the bones of the skull base that are more than a shell: petrous, mastoid, sphenoid and occipital."""
    w = plan.vault[0]
    hard, spongy = palette["skull_bone"], palette["diploe"]
    cortex, inside = Paint(hard.hu + 50, hard.texture), Paint(spongy.hu + 60, spongy.texture)
    body = blob((0, -34, 0), (19, 20, 15))
    wings = symmetric(ribbon([(8, -36, 6), (30, -44, 4), (50, -46, 14)], [4, 3, 2], [7, 8, 16], 2))
    clivus = tube([(0, -26, 2), (0, -8, -19)], [8, 6])
    plates = symmetric(
        union(
            ribbon([(11, -44, -4), (11, -42, -27)], [1.1, 1.0], [6, 5], 1),
            ribbon([(15, -42, -4), (19, -37, -26)], [1.1, 1.0], [5, 7], 1),
        )
    )
    occipital = symmetric(
        union(
            tube([(18, 0, -22), (20, 14, -24)], [7, 6]), tube([(20, 14, -24), (24, 36, -24), (0, 44, -24)], [6, 5, 5])
        )
    )
    squama = symmetric(ribbon([(58 * w, -8, 2), (62 * w, -24, 2)], [4, 3], [4, 4], 2))
    for shape, depth in ((body, 1.4), (clivus, 1.5), (occipital, 1.6), (wings, 1.2), (squama, 1.5)):
        frame.paint_layers(shape, [(0.0, cortex), (depth, inside)])
    frame.paint(plates, Paint(0.7 * hard.hu, hard.texture))
    styloid = symmetric(tube([(50, 0, -14), (44, -10, -40)], [2.6, 1.2]))
    frame.paint(styloid, cortex)
    mastoid = symmetric(blob((57 * w, 15, -10), (13, 16, 22)))
    frame.paint_layers(mastoid, [(0.0, cortex), (1.5, inside)])
    petrous = symmetric(tube([(60 * w, 6, 0), (40, -4, 1), (17, -14, 1)], [10.5, 8.5, 6]))
    dense = draw.normal(1650, 180)
    frame.paint_layers(petrous, [(0.0, Paint(dense - 250, 160)), (3.0, Paint(dense, 220))])


def paint_base_air(frame: Frame, plan: HeadPlan, palette: Palette, draw: Draw) -> None:
    """Paints mastoid cells, ear canals, middle and inner ears."""
    w = plan.vault[0]
    region = symmetric(union(blob((57 * w, 15, -9), (10.5, 13.5, 19)), blob((54 * w, 10, 8), (9, 12, 8))))
    box = frame.box(region.low, region.high, 1.0)
    if box is not None:
        distance = region.distance(frame.points(box))
        field = noise(frame, box, 4.6, draw.key()) + 0.35 * noise(frame, box, 16.0, draw.key())
        wall = draw.uniform(0.16, 0.3)
        cells = ((field.abs() - wall) / 0.35).clamp(0, 1) * frame.coverage((distance + 1.0) * 0.6)
        if frame.blur_mm > 2.0:
            cells = cells * 0.85
        side = plan.pneumatised if not draw.chance(0.12) else 0.15
        frame.blend(box, cells * min(1.0, side * 1.3), -960.0)
    canal = symmetric(tube([(78, 6, -2), (66, 2, 0), (52, -2, 2)], [4.2, 3.6, 3.4]))
    drum = symmetric(union(blob((46, -2, 3), (4, 6, 7)), blob((50, 4, 11), (4, 5, 4))))
    frame.paint(union(canal, drum), -990.0)
    labyrinth = symmetric(
        union(
            blob((38, -8, 2), (4, 4, 3.5)),
            tube([(36, 2, 4), (40, 3, 6)], [2.2, 2.2]),
            tube([(32, 0, 3), (20, 0, 3)], [2.4, 3.4]),
        )
    )
    frame.paint(labyrinth, palette["csf"])


def paint_ear_implant(frame: Frame, palette: Palette, draw: Draw) -> None:
    """Paints a cochlear implant: receiver under the scalp and electrode in the inner ear, on one side."""
    side = draw.choice((-1, 1))
    metal = palette["titanium"]
    places = [(70, 42, 34), (66, 30, 22), (60, 14, 10), (48, -2, 4), (39, -9, 2), (36, -6, 4), (40, -6, 0)]
    lead = tube([(side * x, y, z) for x, y, z in places], [0.8] * len(places))
    case = blob((side * 73, 48, 40), (3.5, 12, 12))
    frame.paint(union(lead, case), metal)
    frame.paint(blob((side * 73, 62, 58), (2.5, 11, 11)), palette["silicone"])


def _smooth_minimum(a: Tensor, b: Tensor, blend: float) -> Tensor:
    h = (blend - (a - b).abs()).clamp_(min=0)
    return torch.minimum(a, b) - h.square_().mul_(0.25 / blend)

"""Brain, its fluid spaces, vessels and membranes, in head coordinates."""

from __future__ import annotations

import torch

from bundle.data.anatomy.canvas import Box
from bundle.data.anatomy.frame import Frame, noise
from bundle.data.anatomy.head.plan import HeadPlan
from bundle.data.anatomy.head.skull import Cranium
from bundle.data.anatomy.shapes import rotation, tube, union
from bundle.data.anatomy.solids import blob, ribbon, symmetric
from bundle.data.anatomy.tissues import Palette
from bundle.data.anatomy.variation import Draw
from bundle.data.anatomy.vessels import Tubes

__all__ = ["paint_brain"]


def paint_brain(frame: Frame, cranium: Cranium, plan: HeadPlan, palette: Palette, draw: Draw) -> None:
    """Paints cortex with sulci, white matter, nuclei, ventricles, cisterns, falx, tentorium, sinuses and lesions.

    Args:
        frame: head coordinates.
        cranium: the cavity, filled with fluid already.
        plan: of this head.
        palette: HU of tissues.
        draw: for shapes and textures.
    """
    box, points, inner = cranium.box, cranium.points, cranium.inner
    grey, white, csf = palette["grey_matter"], palette["white_matter"], palette["csf"]
    gap = 0.8 + 2.6 * plan.atrophy
    depth = -inner - gap
    folds = noise(frame, box, 15.0, draw.key()) + 0.4 * noise(frame, box, 8.0, draw.key())
    furrow = 5.5 * folds.abs() + (depth - 15.0 - 4 * plan.atrophy).clamp(min=0) * 2.0
    middle = points.x + 1.5 * noise(frame, box, 60.0, draw.key())
    cleft = torch.maximum(middle.abs(), (32.0 - points.z) * 0.6)  # between the hemispheres
    furrow = torch.minimum(furrow, cleft)
    width = 0.25 + 1.3 * plan.atrophy
    surface = torch.minimum(depth, furrow - width)
    tissue = frame.coverage(-surface)
    core = frame.coverage((4.2 - surface) * 0.6) * (points.z > -8)
    texture = _texture(frame, box)
    value = grey.hu + core * (white.hu - grey.hu) + 1.5 * texture
    frame.blend(box, tissue * frame.coverage(inner + 0.3), value)
    nuclei = symmetric(
        union(blob((20, -16, 44), (5, 12, 10)), blob((28, -6, 40), (6, 17, 11)), blob((10, 12, 40), (8, 13, 9)))
    )
    frame.paint(nuclei, grey.hu + 1.0)
    stem = tube([(0, 4, 34), (0, 4, 10), (0, 10, -6), (0, 14, -30)], [15, 15, 12, 7])
    frame.paint(tube([(0, -12, 14), (0, 2, 0), (0, 12, -26)], [13, 14, 11]), csf, "cavity")
    frame.paint(stem, white.hu + 3.0, "cavity")
    _paint_cerebellum(frame, grey.hu, draw)
    wide = (0.65 + 1.1 * plan.atrophy) * draw.log_normal(1.0, 0.15)
    lateral = symmetric(
        union(
            tube(
                [(15, -44, 46), (9, -28, 52), (9, 0, 58), (14, 20, 55), (22, 32, 46), (24, 46, 44)],
                [2.5 * wide, 4.5 * wide, 4.5 * wide, 5.5 * wide, 6.5 * wide, 3 * wide],
            ),
            tube([(22, 32, 46), (32, 18, 30), (34, -6, 22)], [5.5 * wide, 3 * wide, 1.6 * wide]),
        )
    )
    third = blob((0, 2, 38), (1.6 + 2.0 * plan.atrophy, 15, 10))
    fourth = blob((0, 27, 0), (6, 5, 8))
    cistern = union(blob((0, -20, 18), (11, 8, 6)), blob((0, 22, 28), (10, 5, 5)))
    sylvian = symmetric(ribbon([(58, -24, 28), (42, -18, 32)], [1.2 + 2 * plan.atrophy] * 2, [12, 9], 1))
    for space in (lateral, third, fourth, cistern, sylvian):
        frame.paint(space, csf, "cavity")
    _paint_membranes(frame, cranium, palette, draw)
    _paint_calcifications(frame, palette, draw)
    _paint_lesion(frame, plan, palette, draw.part("lesion"))
    frame.paint(blob((0, -24, 7), (6, 5, 4)), grey.hu + 10.0)  # pituitary


def _texture(frame: Frame, box: Box) -> torch.Tensor | float:
    """The canvas's texture in a box, or 0 where there is none."""
    return frame.textures["tissue"][box] if "tissue" in frame.textures else 0.0


def _paint_cerebellum(frame: Frame, hu: float, draw: Draw) -> None:
    body = union(symmetric(blob((22, 40, -2), (26, 27, 19))), blob((0, 42, 2), (14, 24, 18)))
    box = frame.box(body.low, body.high, 1.0)
    if box is None:
        return
    folia = noise(frame, box, (9.0, 9.0, 4.0), draw.key())
    frame.blend(box, frame.coverage(body.distance(frame.points(box))) * frame.regions["cavity"][box], hu + 1.5 * folia)


def _paint_membranes(frame: Frame, cranium: Cranium, palette: Palette, draw: Draw) -> None:
    """Falx, tentorium and venous sinuses."""
    box, points, inner = cranium.box, cranium.points, cranium.inner
    hu = 52.0 + draw.uniform(0, 10)
    falx = torch.maximum(points.x.abs() - 0.7, torch.maximum(-36.0 - inner, (46.0 - points.z) * 0.7))
    level = 28.0 + 0.18 * (20.0 - points.y) - 0.3 * points.x.abs()
    tent = torch.maximum((points.z - level).abs() - 0.6, torch.maximum(24.0 - points.y, 12.0 - points.x.abs()))
    sheet = torch.maximum(torch.minimum(falx, tent), inner)
    frame.blend(box, frame.coverage(sheet) * 0.9, hu)
    if draw.chance(0.2):
        spots = (noise(frame, box, 9.0, draw.key()) - draw.uniform(1.2, 2.2)).clamp(0, 1)
        frame.blend(box, frame.coverage(falx - 0.6) * spots * (inner < -2), 600.0)
    sagittal = torch.maximum(torch.maximum(points.x.abs() - 4.5, -7.0 - inner), (30.0 - points.z) * (points.y > 0))
    frame.blend(box, frame.coverage(torch.maximum(sagittal, inner + 0.3)) * (points.z > 26), palette["venous_blood"])
    if palette.phase != "native":
        trunk = [
            Tubes.polyline(
                [(19, -14, -4), (14, -22, 4), (11, -24, 12), (16, -24, 18), (34, -26, 22), (50, -22, 28), (56, -4, 40)],
                [2.4, 2.3, 2.1, 1.6, 1.5, 1.2, 0.7],
            ),
            Tubes.polyline(
                [(11, -24, 14), (3, -36, 22), (2, -54, 40), (2, -40, 70), (3, 0, 84)], [1.6, 1.3, 1.2, 1.0, 0.6]
            ),
            Tubes.polyline([(2, -6, 8), (6, -4, 18), (18, 8, 22), (14, 40, 30)], [1.7, 1.3, 1.2, 0.7]),
        ]
        sides = [Tubes(t.start * s, t.end * s, t.radius_start, t.radius_end) for t in trunk for s in _SIDES]
        basilar = Tubes.polyline([(0, 0, -20), (0, -7, -4), (0, -6, 8)], [1.7, 1.7, 1.6])
        frame.paint_tubes(Tubes.joined([*sides, basilar]), palette["blood"], "cavity")
        transverse = symmetric(tube([(2, 78, 22), (34, 68, 16), (54, 40, 10), (52, 20, -4)], [4, 4, 4.2, 4]))
        frame.paint(transverse, palette["venous_blood"], "cavity")


_SIDES = ((1.0, 1.0, 1.0), (-1.0, 1.0, 1.0))


def _paint_calcifications(frame: Frame, palette: Palette, draw: Draw) -> None:
    if draw.chance(0.55):
        frame.paint(blob((draw.normal(0, 0.8), 21, 37), (2.2, 2.6, 2.2)), draw.uniform(150, 500))
    if draw.chance(0.5):
        hu = draw.uniform(100, 450)
        frame.paint(symmetric(blob((22 + draw.normal(0, 1), 34, 46), (2.5, 4, 2.5))), hu)


def _paint_lesion(frame: Frame, plan: HeadPlan, palette: Palette, draw: Draw) -> None:
    """A bleeding, an old infarct or a tumour in some."""
    kind = draw.choice((None, "blood", "infarct", "tumour"), (0.84, 0.05, 0.06, 0.05))
    if kind is None:
        return
    centre = (draw.choice((-1, 1)) * draw.uniform(18, 48), draw.uniform(-40, 50), draw.uniform(25, 80))
    radius = draw.uniform(7, 24)
    body = blob(centre, (radius, radius * draw.uniform(0.8, 1.5), radius), rotation(z_degrees=draw.uniform(0, 90)))
    box = frame.box(body.low, body.high, 5.0)
    if box is None:
        return
    distance = body.distance(frame.points(box)) + 0.22 * radius * noise(frame, box, radius, draw.key())
    hu = {"blood": draw.uniform(55, 78), "infarct": draw.uniform(9, 22), "tumour": palette["tumour"].hu}[kind]
    edge = frame.coverage(distance - 5.0) * 0.5
    held = frame.regions["cavity"][box]
    if kind != "infarct":
        frame.blend(box, edge * held, 24.0)
    frame.blend(box, frame.coverage(distance * (0.35 if kind == "infarct" else 1.0)) * held, hu)

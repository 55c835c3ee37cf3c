"""Bones of the knee and leg, in millimetres of a medium adult; x to the outer side, y to the back, z along the leg.

The origin lies on the joint line in the middle of the knee. Sizes: bicondylar width 78 mm, tibial plateau 75 x 50 mm
(Mahfouz et al. 2012, Clin Orthop Relat Res 470:172), patella 45 x 42 x 22 mm (Baldwin & House 2005, J Arthroplasty
20:250), cortex of the femur's shaft 5 to 8 mm (Treece et al. 2010, Med Image Anal 14:276).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bundle.data.anatomy.canvas import Box, Canvas
from bundle.data.anatomy.frame import noise
from bundle.data.anatomy.shapes import (
    Points,
    Shape,
    column,
    ellipsoid,
    interpolate,
    smooth_difference,
    smooth_union,
    superellipsoid,
    tube,
    union,
)
from bundle.data.anatomy.solids import prism
from bundle.data.anatomy.tissues import Palette
from bundle.data.anatomy.variation import Draw
from bundle.fixed_tuples import triple

__all__ = ["BoneLook", "cartilage_of", "draw_look", "femur", "fibula", "paint_all_bones", "patella", "tibia"]


@dataclass(frozen=True)
class BoneLook:
    """How dense one patient's limb bones are.

    Args:
        cortex: factor to the thickness of all cortices.
        marrow: HU of the marrow in shafts.
        trabecular: HU added by the trabeculae of the epiphyses near the joint.
        grain: standard deviation in HU of the trabecular texture.
        open_plates: whether growth plates are still open.
    """

    cortex: float
    marrow: float
    trabecular: float
    grain: float
    open_plates: bool


def draw_look(draw: Draw, palette: Palette, child: bool) -> BoneLook:
    """Draws the bones of one patient."""
    return BoneLook(
        cortex=draw.log_normal(0.95, 0.18),
        marrow=palette["yellow_marrow"].hu + (draw.uniform(20, 70) if child or draw.chance(0.2) else 0.0),
        trabecular=palette["trabecular_bone"].hu + draw.uniform(0, 130),
        grain=draw.log_normal(70, 0.3),
        open_plates=child,
    )


def condyles(width: float = 1.0) -> Shape:
    """The two condyles of the femur without the trochlea; ``width`` scales the distance between them."""
    medial = ellipsoid((-22 * width, 7, 21.5), (17, 31, 20.5))
    lateral = ellipsoid((22 * width, 5, 22), (16, 31, 20.5))
    return union(medial, lateral)


def femur(draw: Draw) -> Shape:
    """The femur from the knee upwards."""
    width, notch = draw.normal(1.0, 0.03), draw.normal(1.0, 0.1)
    shaft = draw.normal(1.0, 0.06)
    levels = (22, 36, 52, 72, 95, 130, 220, 330, 420)
    body = column(
        levels,
        (0, 0, 0, 0.5, 1.5, 2, 3, 4, 0),
        (-2, -3, -3, -4, -6, -8, -14, -12, -4),
        [30 * width, 35 * width, 31 * width, 23.5, 18 * shaft, 15 * shaft, 14 * shaft, 15 * shaft, 16 * shaft],
        [20, 23, 22, 18.5, 16 * shaft, 14.5 * shaft, 14 * shaft, 14.5 * shaft, 15 * shaft],
        [12, 18, 19, 17, 15.5 * shaft, 14.5 * shaft, 14.5 * shaft, 15 * shaft, 16 * shaft],
        exponent=2.3,
    )
    trochlea = ellipsoid((2, -14, 28), (27 * width, 18, 18))
    groove = tube([(0, -38, 60), (0, -39, 30), (0, -31, 8), (0, -8, 0)], [4, 6, 7.5, 8])
    fossa = ellipsoid((0, 22, 7), (9.5 * notch, 25, 17 * notch))
    front = smooth_difference(smooth_union(body, trochlea, 10.0), groove, 8.0)
    return smooth_difference(smooth_union(front, condyles(width), 9.0), fossa, 4.0)


def tibia(draw: Draw) -> Shape:
    """The tibia from the knee to above the ankle."""
    width, shaft = draw.normal(1.0, 0.03), draw.normal(1.0, 0.07)
    plateau = column(
        (-90, -66, -48, -34, -22, -12, -6, -3.4),
        (-3, -3, -2, -1, 0, 0, 0, 0),
        (0, 0, 1, 2, 4, 4, 3, 3),
        [11, 16, 21, 27 * width, 35 * width, 38 * width, 38 * width, 35 * width],
        [11, 14, 18, 21, 24, 26, 25, 23],
        [11, 13, 15, 17, 20, 23, 24, 22],
        exponent=2.5,
    )
    medial, lateral = (ellipsoid((s * 18.5, 5, -7), (17, 22, 4.5)) for s in (-1, 1))
    eminence = union(ellipsoid((-5, 3, -4), (4, 8, 6.5)), ellipsoid((5, 4, -4.5), (4, 7, 6)))
    top = smooth_union(smooth_union(plateau, union(medial, lateral), 5.0), eminence, 4.0)
    tuberosity = ellipsoid((1, -16, -42), (10, 10, 17))
    top = smooth_union(top, tuberosity, 9.0)
    edge = prism(
        (-375, -340, -300, -220, -140, -90, -65, -45),
        (-4, -4, -5, -6, -6, -4, -3, -3),
        (4, 4, 2, -1, -1, 0, -1, -1),
        [13 * shaft, 11 * shaft, 10.5 * shaft, 11 * shaft, 12 * shaft, 13 * shaft, 12, 8],
        ((-0.85, -0.55), (0.95, -0.4), (0.1, 1.0)),
        rounding=1.7,
    )
    ankle = column(
        (-400, -385, -370, -350),
        (-4, -4, -4, -4),
        (4, 4, 4, 4),
        (25, 24, 20, 13),
        (17, 18, 15, 12),
        (17, 18, 15, 12),
        exponent=2.6,
    )
    return smooth_union(smooth_union(top, edge, 8.0), ankle, 8.0)


def fibula(draw: Draw) -> Shape:
    """The fibula."""
    thick, back = draw.normal(1.0, 0.1), draw.normal(0.0, 2.0)
    head = ellipsoid((37, 20 + back, -24), (10, 11, 13))
    shaft = tube(
        [(37, 20 + back, -26), (38, 20 + back, -50), (36, 18, -110), (33, 17, -200), (28, 12, -310), (28, 10, -395)],
        [8, 5.5 * thick, 6.2 * thick, 6.8 * thick, 6.5 * thick, 10],
    )
    return smooth_union(head, shaft, 6.0)


def patella(draw: Draw) -> Shape:
    """The patella in an extended knee."""
    size, high, shift = draw.normal(1.0, 0.06), draw.normal(0.0, 6.0, 2.0), draw.normal(1.5, 2.5, 2.0)
    centre = (shift, -47, 36 + high)
    front = superellipsoid(centre, (23.5 * size, 11 * size, 21.5 * size), 2.3)
    facets = ellipsoid((shift - 1, -42, 38 + high), (15 * size, 10 * size, 16 * size))
    return smooth_union(front, facets, 5.0)


def paint_bone(
    canvas: Canvas,
    bone: Shape,
    look: BoneLook,
    palette: Palette,
    draw: Draw,
    levels: Sequence[float],
    cortex_mm: Sequence[float],
    spongy: Sequence[float],
    plates: Sequence[float] = (),
) -> None:
    """Paints cortex, trabeculae and marrow.

    Args:
        canvas: what is painted on.
        bone: its outer surface.
        look: of this patient's bones.
        palette: HU of tissues.
        draw: for the texture.
        levels: K increasing z in mm.
        cortex_mm: K thicknesses.
        spongy: K shares of trabeculae in the marrow, 0 to 1.
        plates: z of growth plates, painted if they are open.
    """
    keys = [draw.key() for _ in range(4)]
    box = canvas.box(bone.low, bone.high, canvas.blur_mm)
    if box is None:
        return
    points = canvas.points(box)
    distance = bone.distance(points)
    level = points.level
    thickness = interpolate(levels, cortex_mm, level).clamp(min=0.5) * look.cortex
    uneven = 1 + 0.15 * noise(canvas, box, 25.0, keys[0])
    thickness = thickness * uneven.clamp(0.6, 1.4)
    share = interpolate(levels, spongy, level).clamp(0, 1)
    marrow = _marrow(canvas, box, distance, share, look, keys[1:])
    solid = (thickness / 3.0).clamp(0, 1)  # thin cortices are porous, and blurred by the scanner
    thin, thick = palette["thin_cortex"], palette["cortical_bone"]
    hard = thin.hu + (thick.hu + 170 - thin.hu) * solid
    grain = thick.texture * canvas.textures["tissue"][box] if "tissue" in canvas.textures else 0.0
    canvas.blend_layers(box, distance, [(0.0, hard + grain), (0.75 * thickness, 0.55 * hard + 0.45 * marrow),
                                        (1.25 * thickness, marrow)])  # fmt: skip
    if look.open_plates:
        for height in plates:
            wavy = points.z - height - 1.5 * noise(canvas, box, 14.0, keys[3])
            plate = torch.maximum(wavy.abs() - 1.1, distance + 0.3)
            canvas.blend_layers(box, plate, [(0.0, palette["growth_plate"])])


def _marrow(canvas: Canvas, box: Box, distance: Tensor, share: Tensor, look: BoneLook, keys: Sequence[int]) -> Tensor:
    """HU of marrow with trabeculae, which are densest under the surface."""
    coarse = noise(canvas, box, 9.0, keys[0])
    fine = noise(canvas, box, (1.6, 1.6, 2.6), keys[1]) if canvas.blur_mm < 2.2 else 0.0
    fading = 0.45 + 0.75 * (distance * (1 / 9.0)).clamp(max=0).exp()
    spongy = share * fading * (1 + 0.22 * coarse)
    return look.marrow + spongy * look.trabecular + (0.15 + share) * look.grain * (0.2 * coarse + 0.4 * fine)


def cartilage_of(bone: Shape, thickness: float, below: float) -> Shape:
    """The layer of cartilage on a bone below a level z, both in mm."""

    def distance(points: Points) -> Tensor:
        return torch.maximum(bone.distance(points) - thickness, (points.z - below) * 0.7)

    low = triple(v - thickness for v in bone.low)
    return Shape(distance, low, (bone.high[0] + thickness, bone.high[1] + thickness, below))


def paint_all_bones(canvas: Canvas, bones: dict[str, Shape], look: BoneLook, palette: Palette, draw: Draw) -> None:
    """Paints femur, tibia, fibula and patella."""
    rules: dict[str, tuple[Sequence[float], Sequence[float], Sequence[float], Sequence[float]]] = {
        "femur": ((0, 30, 60, 90, 130, 200, 420), (1.0, 1.2, 2.0, 3.6, 5.6, 7.2, 7.0),
                  (1.0, 0.85, 0.45, 0.18, 0.05, 0.0, 0.05), (27.0,)),
        "tibia": ((-400, -370, -330, -240, -130, -80, -50, -25, -3), (1.2, 2.0, 3.4, 4.6, 4.4, 2.8, 1.8, 1.2, 1.3),
                  (0.9, 0.7, 0.2, 0.0, 0.05, 0.2, 0.45, 0.8, 1.0), (-20.0,)),
        "fibula": ((-400, -360, -250, -90, -45, -20), (1.2, 2.5, 3.6, 3.0, 1.8, 0.9), (0.7, 0.3, 0.1, 0.1, 0.4, 0.7),
                   (-34.0,)),
        "patella": ((0, 80), (1.6, 1.6), (1.0, 1.0), ()),
    }  # fmt: skip
    for name, bone in bones.items():
        paint_bone(canvas, bone, look, palette, draw.part(name), *rules[name])

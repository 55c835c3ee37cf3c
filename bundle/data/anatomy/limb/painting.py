"""One leg, in the coordinates of ``limb_bones``: x to the outer side, y to the back, z along the leg."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from bundle.data.anatomy.canvas import Box, Paint
from bundle.data.anatomy.frame import Frame, noise
from bundle.data.anatomy.limb.bones import (
    cartilage_of,
    draw_look,
    femur,
    fibula,
    paint_all_bones,
    patella,
    tibia,
)
from bundle.data.anatomy.limb.extras import Extras, draw_extras, paint_implants, paint_lesions
from bundle.data.anatomy.limb.muscles import MUSCLES, fascia, half_width, skin_outline
from bundle.data.anatomy.muscles import paint_muscles
from bundle.data.anatomy.shapes import Points, Shape, ellipsoid, offset, tube, union
from bundle.data.anatomy.solids import blob, ribbon
from bundle.data.anatomy.tissues import Palette
from bundle.data.anatomy.variation import Draw
from bundle.data.anatomy.vessels import Tubes

__all__ = ["Build", "draw_build", "paint_leg"]


@dataclass(frozen=True)
class Build:
    """What both legs of a patient have in common.

    Args:
        child: whether growth plates are open.
        scale: size relative to a medium adult, (x, y, z).
        girth: of the muscles away from the joint.
        fat_mm: subcutaneous fat at its thickest.
        bulk: share of the muscle compartments that muscle fills.
        streaks: share of fat in the muscles.
        skin_mm: thickness of the skin.
    """

    child: bool
    scale: tuple[float, float, float]
    girth: float
    fat_mm: float
    bulk: float
    streaks: float
    skin_mm: float


def draw_build(draw: Draw) -> Build:
    """Draws a patient from child to adult, thin to obese, trained to atrophic."""
    child = draw.chance(0.1)
    size = draw.uniform(0.66, 0.88) if child else draw.normal(0.99, 0.06)
    fat = draw.log_normal(13, 0.6)
    atrophy = draw.chance(0.2)
    return Build(
        child=child,
        scale=(size * draw.normal(1, 0.03), size * draw.normal(1, 0.03), size * draw.normal(1, 0.04)),
        girth=draw.normal(0.86, 0.06) if atrophy else draw.normal(1.02, 0.09),
        fat_mm=min(max(fat, 3.0), 52.0),
        bulk=draw.uniform(0.72, 0.92) if atrophy else draw.normal(1.0, 0.05),
        streaks=draw.uniform(0.1, 0.5) if atrophy else draw.uniform(0.0, 0.12),
        skin_mm=draw.uniform(1.3, 2.2),
    )


def paint_leg(frame: Frame, build: Build, palette: Palette, draw: Draw, other: bool = False) -> None:
    """Paints a leg from the upper thigh to the ankle.

    Args:
        frame: the leg's coordinates.
        build: of the patient.
        palette: HU of tissues.
        draw: for this leg.
        other: whether it is the leg beside the one that is examined, which has no lesion of its own.
    """
    extras = draw_extras(draw.part("extras"), 0.0 if other else 1.0)
    shape = draw.part("shape")
    outline = skin_outline(shape, build.girth * extras.swelling, build.fat_mm)
    sheath = fascia(shape, build.girth * extras.swelling)
    box = frame.box(outline.low, outline.high, frame.blur_mm)
    if box is None:
        return
    fat = palette["fat"]
    points = frame.points(box)
    skin_distance = outline.distance(points)
    cover = [(0.0, palette["skin"]), (build.skin_mm, fat)]
    frame.blend_layers(box, skin_distance, cover)
    sheath_distance = torch.maximum(sheath.distance(points), skin_distance + build.skin_mm + 0.8)
    _paint_septa(frame, box, skin_distance, sheath_distance, build, draw.part("septa"))
    roomy = ((points.level.abs() - 35) / 60).clamp(0, 1)  # muscles fill their compartments, but not the knee
    slack = build.bulk**3 * (3.0 + 8.0 * roomy)
    paint_muscles(
        frame,
        box,
        sheath_distance + 0.8,
        list(MUSCLES.values()),
        palette["muscle"],
        draw.part("muscles"),
        bulk=build.bulk * build.girth**0.5,
        slack_mm=slack,
        gap_mm=draw.uniform(0.9, 2.2),
        streaks=build.streaks,
    )
    line = (sheath_distance - 0.2).abs() - 0.45  # the sheath itself
    frame.blend(box, 0.4 * frame.coverage(line), palette["muscle"].hu - 25.0)
    inside = torch.zeros(frame.shape, device=frame.device)
    inside[box] = frame.coverage(skin_distance + build.skin_mm)
    frame.regions["leg"] = inside  # what vessels are held to
    bones = draw.part("bones")
    shapes = {"femur": femur(bones), "tibia": tibia(bones), "fibula": fibula(bones), "patella": patella(bones)}
    _paint_joint(frame, shapes, palette, draw.part("joint"), extras)
    _paint_vessels(frame, build, palette, draw.part("vessels"))
    paint_lesions(frame, extras, palette, draw.part("lesions"))
    paint_all_bones(frame, shapes, draw_look(draw.part("look"), palette, build.child), palette, draw.part("bone"))
    paint_implants(frame, extras, shapes, palette, draw.part("implants"))


def _paint_septa(
    frame: Frame, box: Box, skin_distance: Tensor, sheath_distance: Tensor, build: Build, draw: Draw
) -> None:
    """Fine strands of connective tissue in the subcutaneous fat."""
    field = noise(frame, box, (9.0, 9.0, 14.0), draw.key()) + 0.5 * noise(frame, box, 4.5, draw.key())
    strand = (1 - field.abs() / 0.13).clamp(0, 1) * draw.uniform(0.05, 0.35)
    between = frame.coverage(skin_distance + build.skin_mm + 1) * (1 - frame.coverage(sheath_distance))
    frame.blend(box, strand * between, 10.0)


def _paint_joint(frame: Frame, bones: Mapping[str, Shape], palette: Palette, draw: Draw, extras: Extras) -> None:
    """Capsule, fluid, fat pad, menisci, cartilage, ligaments and tendons."""
    soft, fat, tendon, cartilage = (palette[n] for n in ("muscle", "fat", "tendon", "cartilage"))
    capsule = ellipsoid((0, 6, 12), (43, 36, 30))
    frame.paint(capsule, Paint(soft.hu - 18, soft.texture))
    frame.paint(blob((0, 36, 22), (20, 15, 42)), fat)  # popliteal fat
    cuff = offset(bones["femur"], draw.uniform(1.5, 3.0))
    frame.paint(_cut(cuff, -4.0, 45.0), soft)
    if extras.effusion_mm > 0:
        pouch = blob((0, -36, 66), (26, 5 + extras.effusion_mm, 26))
        sides = union(
            blob((30, -22, 30), (9, 9 + extras.effusion_mm, 22)), blob((-30, -22, 30), (9, 9 + extras.effusion_mm, 22))
        )
        frame.paint(union(pouch, sides), palette["effusion"])
    frame.paint(blob((0, -33, 62), (20, 7, 14)), fat)  # suprapatellar pads
    frame.paint(blob((0, -28, 2), (25, 15, 21)), Paint(fat.hu + 8, fat.texture, fat.kind))
    frame.paint(blob((0, 17, 8), (9, 20, 15)), Paint(fat.hu + 55, 18.0))  # the notch: fat and synovia
    menisci = union(ellipsoid((-20, 4, 0.2), (19, 24, 4.2)), ellipsoid((20, 5, 0.2), (18, 20, 4.2)))
    frame.paint(menisci, Paint(cartilage.hu - 5, cartilage.texture * 0.5))
    worn = draw.uniform(0.6, 1.1)
    frame.paint(cartilage_of(bones["femur"], 2.0 * worn, 34.0), cartilage)
    frame.paint(cartilage_of(bones["tibia"], 1.8 * worn, 6.0), cartilage)
    frame.paint(offset(bones["patella"], 1.2), tendon)
    crossed = union(
        ribbon([(4, -6, -1), (9, 14, 16)], [3.0, 3.5], [4.0, 4.0], 1),
        ribbon([(0, 22, -8), (-7, 2, 13)], [4.0, 4.0], [4.5, 4.5], 1),
    )
    frame.paint(crossed, tendon)
    sides = union(
        ribbon([(-38, 2, 26), (-38, -2, -8), (-30, -4, -40)], [1.4] * 3, [6, 6, 5], 1),
        ribbon([(37, 6, 24), (38, 12, 0), (38, 19, -16)], [1.6] * 3, [3, 3, 3], 1),
    )
    frame.paint(sides, tendon)
    front = union(
        ribbon([(2, -44, 110), (2, -46, 54)], [3.0, 3.8], [9.0, 16.0], 0),
        ribbon([(1, -47, 20), (1, -38, -12), (1, -27, -42)], [2.6, 2.5, 2.8], [14, 13, 11], 0),
    )
    frame.paint(front, tendon)
    thin = [
        ((-34, 43, 20), (-36, 40, -8), (-33, 24, -40)),
        ((-40, 30, 14), (-39, 24, -12), (-30, 6, -48)),
        ((37, 27, 8), (38, 24, -8), (38, 22, -20)),
    ]
    for places, radii in zip(thin, ((2.2, 2.0, 1.5), (2.0, 1.8, 1.2), (4.5, 4.0, 3.0))):
        frame.paint(tube(places, radii), tendon)


def _cut(shape: Shape, low: float, high: float) -> Shape:
    """The part of a shape between two heights z in mm."""

    def distance(points: Points) -> Tensor:
        return torch.maximum(shape.distance(points), torch.maximum(low - points.z, points.z - high))

    return Shape(distance, (*shape.low[:2], max(low, shape.low[2])), (*shape.high[:2], min(high, shape.high[2])))


def _paint_vessels(frame: Frame, build: Build, palette: Palette, draw: Draw) -> None:
    """Femoral and popliteal vessels with their branches, sciatic nerve, subcutaneous veins."""
    n = draw.normals(12) * 1.5
    artery = [
        (-38, -30, 400),
        (-40, -16, 300),
        (-34, 6, 200),
        (-20, 22, 120),
        (-4 + n[0], 28, 60),
        (0 + n[1], 31, 10),
        (0, 33, -30),
        (4, 31, -70),
    ]
    tibial = [(4, 31, -70), (2, 25, -130), (-4, 24, -250), (-14, 20, -390)]
    peroneal = [(4, 31, -70), (22, 24, -130), (26, 20, -250), (24, 18, -380)]
    front = [(4, 31, -62), (22, 10, -72), (24, 4, -130), (20, -2, -250), (6, -16, -390)]
    size = draw.normal(1.0, 0.12)
    arteries = Tubes.joined(
        [
            Tubes.polyline(artery, [4.2 * size] * 4 + [3.6 * size, 3.3 * size, 3.0 * size, 2.4 * size]),
            Tubes.polyline(tibial, [2.0 * size, 1.7, 1.5, 1.3]),
            Tubes.polyline(peroneal, [1.8 * size, 1.6, 1.4, 1.0]),
            Tubes.polyline(front, [1.7, 1.7, 1.6, 1.4, 1.2]),
            Tubes.polyline([(-36, -4, 370), (-8, 16, 300), (6, 22, 220), (10, 24, 150)], [3.0, 2.4, 1.9, 1.2]),
        ]
    )
    beside = [(x + 5, y + 4, z) for x, y, z in artery]
    depth_x = [half_width(z, build.girth, build.fat_mm) for z in (-380, -250, -110, 0, 110, 250, 400)]
    saphena = [
        (-d, y, z) for d, y, z in zip(depth_x, (-4, 8, 16, 20, 8, -16, -48), (-380, -250, -110, 0, 110, 250, 400))
    ]
    veins = Tubes.joined(
        [
            Tubes.polyline(beside, [5.2 * size] * 4 + [4.4 * size, 4.4 * size, 3.6 * size, 3.0]),
            Tubes.polyline([(x + 3, y + 2, z) for x, y, z in tibial], [2.2, 1.8, 1.6, 1.2]),
            Tubes.polyline([(x - 4, y + 1, z) for x, y, z in tibial], [2.0, 1.7, 1.4, 1.0]),
            Tubes.polyline([(x + 3, y + 2, z) for x, y, z in peroneal], [2.2, 2.0, 1.8, 1.2]),
            Tubes.polyline(saphena, [1.5, 1.6, 1.8, 1.8, 2.0, 2.3, 2.8]),
            Tubes.polyline(_small_saphena(build), [2.0, 2.0, 1.7, 1.3]),
        ]
    )
    nerve = Tubes.joined(
        [
            Tubes.polyline(
                [(8, 42, 400), (10, 40, 250), (8, 40, 110), (4, 40, 60), (6, 40, 0), (4, 34, -60)],
                [5, 5, 4.5, 3, 2.5, 2],
            ),
            Tubes.polyline([(4, 40, 60), (24, 38, 20), (36, 32, -10), (42, 20, -38)], [2.4, 2.0, 1.8, 1.5]),
        ]
    )
    twigs = []
    for _ in range(draw.integer(4, 9)):
        z, side = draw.uniform(-330, 380), draw.choice((-1, 1))
        d = half_width(z, build.girth, build.fat_mm)
        y = draw.uniform(-20, 35)
        twigs.append(
            Tubes.polyline(
                [(side * (d - 4), y, z), (side * d * 0.98, y + draw.normal(0, 8), z + draw.normal(0, 25))], 0.9
            )
        )
    frame.paint_tubes(Tubes.joined([nerve, *twigs]), 35.0, "leg")
    frame.paint_tubes(veins, palette["venous_blood"], "leg")
    frame.paint_tubes(arteries, palette["blood"], "leg")
    if draw.chance(0.25):  # calcified walls
        part = arteries.cut(9.0)
        chosen = draw.generator.random(len(part.start)) < draw.uniform(0.1, 0.6)
        if chosen.any():
            shift = draw.normals(int(chosen.sum()), 3) * 1.6
            spots = Tubes(
                part.start[chosen] + shift,
                part.start[chosen] + shift + 0.35 * (part.end - part.start)[chosen],
                part.radius_start[chosen] * 0.35,
                part.radius_end[chosen] * 0.35,
            )
            frame.paint_tubes(spots, palette["calcification"], "leg")


def _small_saphena(build: Build) -> list[tuple[float, float, float]]:
    """Course of the small saphenous vein, under the skin of the calf and into the popliteal vein."""
    deep = 0.25 * build.fat_mm
    return [(4, 38, 0), (2, 53 + deep, -60), (0, 70 * build.girth + deep, -150), (6, 38 + deep, -330)]

"""Cervical spine, airway, larynx, glands and vessels of the neck, and the shoulders, in head coordinates."""

from __future__ import annotations

from bundle.data.anatomy.canvas import Paint
from bundle.data.anatomy.frame import Frame, noise
from bundle.data.anatomy.head.plan import HeadPlan, faded
from bundle.data.anatomy.shapes import Shape, column, ellipsoid, offset, smooth_union, superellipsoid, tube, union
from bundle.data.anatomy.solids import blob, ribbon, symmetric
from bundle.data.anatomy.tissues import Palette
from bundle.data.anatomy.variation import Draw
from bundle.data.anatomy.vessels import Tubes
from bundle.fixed_tuples import triple

__all__ = ["paint_airway", "paint_neck_organs", "paint_shoulders", "paint_spine"]

# (z, y) of the middles of the vertebral bodies C3 to T4, half-widths and half-depths
_BODIES = (
    (-73, 6, 9.5, 7.5),
    (-90, 4, 10, 7.8),
    (-106, 4, 10.5, 8),
    (-122, 7, 11, 8),
    (-139, 12, 12, 8.2),
    (-157, 18, 13, 8.5),
    (-177, 24, 13.5, 9),
    (-198, 30, 14, 9.5),
    (-220, 35, 14.5, 10),
)


def paint_spine(frame: Frame, plan: HeadPlan, palette: Palette, draw: Draw) -> None:
    """Paints canal with cord, discs and vertebrae from the atlas down."""
    disc, cord = palette["disc"], palette["spinal_cord"]
    line = [(z, y) for z, y, _, _ in _BODIES]
    canal = [(0, 15, -16), (0, 16, -36), (0, 21, -56)] + [(0, y + 17, z) for z, y in line]
    frame.paint(tube(canal, [13, 11, 9.5] + [8.6] * len(line)), Paint(0.0, 8.0))
    frame.paint(tube(canal, [11, 9, 7.8] + [7.0] * len(line)), palette["csf"])
    frame.paint(tube(canal, [6.5, 5.6, 5.2] + [4.8] * len(line)), cord)
    levels = [z for z, _ in reversed(line)] + [-56]
    thick = column(
        levels,
        [0.0] * len(levels),
        [y for _, y in reversed(line)] + [6],
        [w - 0.8 for _, _, w, _ in reversed(_BODIES)] + [8.5],
        [d - 0.8 for _, _, _, d in reversed(_BODIES)] + [6.5],
    )
    frame.paint(thick, disc)
    worn = draw.uniform(0.0, 1.0) ** 2
    bone, spongy = palette["skull_bone"], palette["vertebral_bone"]
    inside = Paint(spongy.hu + 110, 1.5 * spongy.texture)
    layers = [(0.0, Paint(0.72 * bone.hu, bone.texture)), (1.0, inside)]
    frame.paint_layers(_atlas(), layers)
    frame.paint_layers(_axis(), layers)
    for number, (z, y, wide, deep) in enumerate(_BODIES):
        high = 6.7 + 0.35 * number
        frame.paint_layers(_vertebra(z, y, wide, deep, high + 0.9 * worn, number, draw), layers)
    frame.paint(_ligament(), faded(palette, "tendon", -25))


def _ligament() -> Shape:
    return ribbon([(0, 52, -60), (0, 50, -105), (0, 64, -140)], [0.8, 0.8, 1.0], [6, 7, 6], 1)


def _atlas() -> Shape:
    lateral = ellipsoid((20, 3, -36), (8, 9.5, 8))
    ring = tube([(20, -2, -36), (10, -7, -36), (-2, -9, -36)], [4, 3.8, 4.2])
    back = tube([(21, 10, -36), (17, 27, -37), (8, 36, -38), (-2, 38, -38)], [3.6, 3.2, 3.4, 4.0])
    wing = tube([(24, 5, -37), (37, 7, -38)], [4.5, 3.2])
    return symmetric(union(lateral, ring, back, wing))


def _axis() -> Shape:
    body = superellipsoid((0, 6, -56), (9.5, 7.5, 8.5), 2.6)
    dens = tube([(0, 3, -52), (0, 2, -30)], [6.0, 4.6])
    side = symmetric(
        union(
            ellipsoid((15, 7, -48), (8, 8, 6)),
            tube([(14, 10, -56), (16, 18, -58), (3, 36, -62)], [5, 4, 4]),
            ellipsoid((17, 15, -60), (6, 6, 8)),
        )
    )
    spinous = tube([(0, 36, -62), (0, 48, -66)], [4.5, 5.0])
    return union(smooth_union(body, dens, 4.0), side, spinous)


def _vertebra(z: float, y: float, wide: float, deep: float, high: float, number: int, draw: Draw) -> Shape:
    body = superellipsoid((0, y, z), (wide, deep, high), 4.2)
    if number < 5:  # neck: pillars beside the canal and short transverse processes
        pillar = ellipsoid((wide + 9, y + 12, z), (6.5, 7, 8.5))
        cross = tube([(wide - 1, y, z), (wide + 11, y + 3, z - 3)], [3.2, 3.0])
        arch = tube([(wide + 6, y + 16, z - 2), (3, y + 31, z - 5)], [3.4, 3.0])
        length = (9, 10, 12, 20, 30)[number]
    else:
        pillar = ellipsoid((wide + 3, y + 14, z), (6, 6, 9))
        cross = tube([(wide, y + 14, z + 3), (wide + 20, y + 22, z + 3)], [4.5, 3.6])
        arch = tube([(wide + 2, y + 18, z - 1), (3, y + 30, z - 5)], [3.8, 3.2])
        length = 30
    pedicle = tube([(wide - 2, y + 4, z + 1), (wide + 5, y + 12, z + 1)], [3.8, 3.8])
    spinous = ribbon(
        [(0, y + 30, z - 5), (0, y + 31 + length + draw.normal(0, 2), z - 8 - 0.3 * length)], [2.6, 2.8], [5, 4.2], 2
    )
    return union(body, symmetric(union(pillar, cross, arch, pedicle)), spinous)


def paint_airway(frame: Frame, plan: HeadPlan, palette: Palette, draw: Draw) -> None:
    """Paints the pharynx with its wall and soft palate, larynx and trachea."""
    size = draw.log_normal(1.0, 0.12)
    flat = draw.uniform(0.5, 0.9)  # the pharynx is wider than deep
    upper = [(0, -44, -11), (0, -30, -14), (0, -24, -28), (0, -16, -46), (0, -14, -64), (0, -20, -84)]
    middle = ribbon(
        upper,
        [11 * size, 9 * size, 6 * size * flat, 6 * size * flat, 6.5 * size * flat, 7 * size * flat],
        [12 * size, 13 * size, 11 * size, 11 * size, 12 * size, 12 * size],
        0,
    )
    below = tube(
        [(0, -20, -85), (0, -24, -98), (0, -24, -109), (0, -22, -116), (0, -17, -140), (0, -6, -190), (0, 4, -240)],
        [6.5, 6, 3.0, 7.0 * size, 8.2 * size, 8.5 * size, 8.8 * size],
    )
    frame.paint(offset(union(middle, below), 2.8), faded(palette, "muscle", -8), "head")
    frame.paint(ellipsoid((0, 4, -150), (8, 5, 40)), faded(palette, "muscle", -5))  # oesophagus
    epiglottis = ribbon([(0, -34, -80), (0, -26, -98)], [1.3, 1.0], [9, 4], 0)
    key, rough = draw.key(), draw.uniform(0.6, 2.2)
    box = frame.box(middle.low, middle.high, 4.0)
    if box is not None:  # tonsils and folds
        uneven = middle.distance(frame.points(box)) + rough * noise(frame, box, 9.0, key)
        frame.blend(box, frame.coverage(uneven), -992.0)
    frame.paint(below, -992.0)
    frame.paint(symmetric(blob((12, -16, -96), (4, 5, 8))), -985.0)  # piriform recesses
    frame.paint(tube([(0, -22, -92), (0, -24, -104)], [8.0, 5.0]), -992.0)
    frame.paint(epiglottis, 45.0)
    veil = ribbon([(0, -50, -27), (0, -36, -30), (0, -26, -42), (0, -24, -52)], [3.0, 3.8, 3.4, 2.2], [14, 12, 8, 4], 0)
    frame.paint(veil, faded(palette, "muscle", -12))


def paint_neck_organs(frame: Frame, plan: HeadPlan, palette: Palette, draw: Draw) -> None:
    """Paints hyoid, laryngeal cartilages, thyroid, lymph nodes and the great vessels."""
    ossified = 90.0 if plan.child else draw.choice((110.0, 250.0, 480.0))
    hyoid = symmetric(
        union(tube([(-2, -45, -85), (9, -43, -85), (15, -36, -85), (21, -18, -82)], [3.4, 3.2, 2.0, 1.6]))
    )
    frame.paint_layers(hyoid, [(0.0, 520.0), (1.3, 300.0)], "head")
    shield = symmetric(ribbon([(0, -43, -104), (10, -35, -104), (19, -18, -104)], [1.7, 1.6, 1.7], [9, 11, 13], 2))
    frame.paint_layers(shield, [(0.0, ossified + 80), (1.0, ossified - 60)], "head")
    ring = symmetric(
        tube(
            [(-2, -33, -121), (9, -29, -121), (12, -20, -120), (8, -11, -118), (-2, -9, -117)],
            [2.4, 2.2, 2.4, 3.4, 4.0],
        )
    )
    frame.paint_layers(ring, [(0.0, ossified + 60), (1.2, ossified - 80)])
    lobe = draw.log_normal(1.0, 0.2)
    thyroid = union(
        symmetric(ellipsoid((18, -22, -128), (7.5 * lobe, 9 * lobe, 22))), ellipsoid((0, -31, -136), (14, 3, 7))
    )
    frame.paint(thyroid, palette["thyroid"], "head")
    artery = [
        (26, 0, -230),
        (23, -6, -190),
        (23, -10, -150),
        (25, -9, -110),
        (26, -8, -90),
        (27, -5, -60),
        (26, -6, -18),
    ]
    outer = [(26, -10, -90), (32, -12, -70), (40, -8, -40), (46, -4, -10)]
    vein = [(30, -4, -230), (34, -8, -180), (33, -7, -130), (33, -3, -90), (33, 2, -50), (28, 4, -18)]
    vertebral = [(22, 2, -150), (21, 4, -120), (21, 6, -70), (25, 6, -40), (20, 14, -32), (6, 6, -18), (0, 0, -16)]
    skin_vein = [(52, 6, -60), (52, 2, -110), (40, -8, -170)]
    size = draw.normal(1.0, 0.1)
    left, right = draw.uniform(0.7, 1.3), draw.uniform(0.7, 1.3)
    arteries, veins = [], []
    for side, wide in ((1, left), (-1, right)):
        flip = (side, 1, 1)
        for places, radii in (
            (artery, [4.2, 3.8, 3.6, 3.6, 4.2, 2.7, 2.5]),
            (outer, [2.4, 2.0, 1.7, 1.2]),
            (vertebral, [2.0, 1.9, 1.9, 1.9, 1.8, 1.8, 1.8]),
        ):
            arteries.append(Tubes.polyline([_flip(p, flip) for p in places], [size * r for r in radii]))
        for places, radii in ((vein, [7, 6.5, 6, 5.5, 5, 4.5]), (skin_vein, [2.2, 2.2, 2.4])):
            veins.append(Tubes.polyline([_flip(p, flip) for p in places], [wide * r for r in radii]))
    frame.paint_tubes(Tubes.joined(veins), palette["venous_blood"], "head")
    frame.paint_tubes(Tubes.joined(arteries), palette["blood"], "head")
    for _ in range(draw.integer(4, 14)):
        side = draw.choice((-1, 1))
        place = (side * draw.uniform(34, 46), draw.uniform(-14, 14), draw.uniform(-150, -60))
        r = draw.log_normal(2.6, 0.3)
        frame.paint(blob(place, (r, r, 1.5 * r)), palette["lymph_node"], "head")
    if draw.chance(0.2):
        place = (draw.choice((-1, 1)) * 26.0, -8.0, -88.0)
        frame.paint(blob(place, (2.0, 2.4, 4.0)), palette["calcification"])


def paint_shoulders(frame: Frame, plan: HeadPlan, palette: Palette, draw: Draw) -> None:
    """Paints lung tips, ribs, collar bones, shoulder blades and the heads of the humeri, where a field reaches them."""
    if frame.box((-400, -200, -400), (400, 200, -140), 0.0) is None:
        return
    lift = draw.normal(0, 6)
    bone, spongy = palette["skull_bone"], palette["vertebral_bone"]
    layers = [(0.0, Paint(0.9 * bone.hu, bone.texture)), (1.8, Paint(spongy.hu + 60, spongy.texture))]
    apex = symmetric(ellipsoid((44, 18, -215), (34, 42, 48)))
    frame.paint_layers(apex, [(0.0, faded(palette, "muscle", -30)), (2.5, palette["lung"])])
    rib = symmetric(
        union(
            tube([(18, 26, -170), (42, 40, -172), (62, 22, -180), (52, -18, -194), (22, -40, -206)], [4, 4, 4, 4.5, 5]),
            tube([(20, 34, -188), (54, 58, -194), (84, 30, -208), (84, -10, -224), (50, -44, -240)], [4, 4.2, 4, 4, 4]),
        )
    )
    collar = symmetric(
        tube(
            [(12, -48, -196 + lift), (50, -56, -182 + lift), (95, -22, -168 + lift), (150, -6, -160 + lift)],
            [9, 6, 5.5, 7],
        )
    )
    blade = symmetric(
        union(
            ribbon([(70, 74, -200 + lift), (120, 50, -182 + lift), (158, 18, -166 + lift)], [3, 4, 5], [10, 9, 8], 2),
            ribbon([(80, 70, -220 + lift), (140, 24, -215 + lift)], [2.5, 6], [26, 24], 2),
        )
    )
    humerus = symmetric(
        smooth_union(
            ellipsoid((166, 8, -200 + lift), (24, 24, 24)),
            tube([(174, 6, -210 + lift), (182, 4, -300)], [17, 13]),
            10.0,
        )
    )
    for shape in (rib, collar, blade, humerus):
        frame.paint_layers(shape, layers, "head")


def _flip(place: tuple[float, float, float], signs: tuple[int, int, int]) -> tuple[float, float, float]:
    return triple(p * s for p, s in zip(place, signs))

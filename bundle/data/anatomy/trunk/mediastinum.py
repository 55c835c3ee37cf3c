"""Great vessels, central airways, oesophagus, thyroid and lymph nodes."""

from __future__ import annotations

import math

import numpy as np

from bundle.data.anatomy.canvas import Canvas
from bundle.data.anatomy.shapes import ellipsoid
from bundle.data.anatomy.tissues import Palette
from bundle.data.anatomy.trunk.frame import Frame
from bundle.data.anatomy.trunk.thorax import Thorax, hilum, moved
from bundle.data.anatomy.variation import Draw
from bundle.data.anatomy.vessels import Tubes, paint_tube_layers

__all__ = ["aorta_course", "paint_great_vessels"]

Place = tuple[float, float, float]


def aorta_course(frame: Frame, thorax: Thorax) -> tuple[list[Place], list[float]]:
    """Middle line and radii of the aorta from its root to where it forks."""
    k, s = thorax.heart_size, frame.scale
    root = moved(thorax.heart, (-8 * k, -4 * k, 26 * k))
    places = [
        root,
        moved(root, (-14 * s, -8 * s, 34 * s)),
        frame.at(-14, -16, 392),
        frame.at(0, 0, 409),
        frame.at(16, 22, 408),
        frame.from_spine(24, -14, 388),
        frame.from_spine(25, -14, 350),
        frame.from_spine(22, -19, 290),
        frame.from_spine(13, -24, 230),
        frame.from_spine(6, -27, 190),
        frame.from_spine(4, -29, 120),
        frame.from_spine(4, -29, 58),
    ]
    return places, [v * s for v in (16, 15.5, 14.5, 14, 13.5, 13, 12.5, 12, 11.5, 11, 9.5, 8.5)]


def paint_great_vessels(canvas: Canvas, frame: Frame, thorax: Thorax, palette: Palette, draw: Draw) -> None:
    """Paints aorta, caval and pulmonary trunks, trachea, bronchi, oesophagus, thyroid and nodes."""
    draw = draw.part("vessels")
    s, k = frame.scale, thorax.heart_size
    wide = draw.log_normal(1.0, 0.08) * (0.92 if frame.female else 1.0)
    air = -990.0
    food = [frame.from_spine(0, -20, 520), frame.from_spine(6, -22, 440), frame.from_spine(4, -24, 360)]
    food += [frame.from_spine(2, -28, 290), frame.from_spine(12, -38, 245), frame.at(28, 5, 222)]
    layers = [(0.0, palette["bowel_wall"])]
    if draw.chance(0.5):
        layers.append((draw.uniform(3.5, 6) * s, palette["bowel_gas"]))
    paint_tube_layers(canvas, Tubes.polyline(food, 8 * s), layers)
    veins, pulmonary = [], []
    heart = thorax.heart
    top = moved(heart, (-34 * k, 0, 44 * k))
    veins.append(Tubes.polyline([frame.at(-30, -14, 425), frame.at(-31, -10, 392), top], [9 * s, 10 * s, 11 * s]))
    veins.append(Tubes.polyline([frame.at(-30, -14, 425), frame.at(5, -32, 427), frame.at(42, -20, 442)], 7.5 * s))
    for side in (-1, 1):
        veins.append(
            Tubes.polyline(
                [frame.at(side * 34, -16, 430), frame.at(side * 34, 0, 480), frame.at(side * 36, 2, 560)], 6 * s
            )
        )
        veins.append(
            Tubes.polyline(
                [frame.at(side * 34, -16, 434), frame.at(side * 100, 0, 440), frame.at(side * 140, 22, 420)], 5 * s
            )
        )
    veins.append(
        Tubes.polyline(
            [
                frame.from_spine(-22, -26, 52),
                frame.from_spine(-24, -27, 150),
                frame.at(-30, 2, 225),
                moved(heart, (-34 * k, 6 * k, -18 * k)),
            ],
            [10 * s, 11 * s, 12.5 * s, 13 * s],
        )
    )
    veins.append(
        Tubes.polyline(
            [frame.from_spine(-8, -19, 200), frame.from_spine(-10, -19, 380), frame.at(-28, 6, 392)], 3.2 * s
        )
    )
    trunk = moved(heart, (14 * k, -30 * k, 36 * k))
    fork = frame.at(20, -8, 374)
    pulmonary.append(Tubes.polyline([trunk, moved(fork, (2 * s, -16 * s, -4 * s)), fork], 13.5 * s * wide))
    pulmonary.append(Tubes.polyline([fork, hilum(frame, thorax, 1)], [11.5 * s, 9 * s]))
    pulmonary.append(Tubes.polyline([fork, frame.at(-8, 2, 366), hilum(frame, thorax, -1)], [11 * s, 10.5 * s, 9 * s]))
    for side in (-1, 1):
        root = hilum(frame, thorax, side)
        low = (root[0], root[1] - 6 * s, root[2] - 28 * s)
        pulmonary.append(Tubes.polyline([low, moved(heart, (side * 20 * k - 8 * k, 38 * k, 28 * k))], 6 * s))
    paint_tube_layers(canvas, Tubes.joined(veins), [(0.0, palette["venous_blood"])])
    paint_tube_layers(canvas, Tubes.joined(pulmonary), [(0.0, palette["pulmonary_blood"])])
    places, radii = aorta_course(frame, thorax)
    aorta = Tubes.polyline(places, [r * wide for r in radii])
    arch = [frame.at(-12, -14, 400), frame.at(2, -2, 408), frame.at(14, 16, 408)]
    branches = [
        Tubes.polyline(
            [arch[0], frame.at(-24, 2, 440), frame.at(-34, 12, 500), frame.at(-34, 14, 570)],
            [6 * s, 6 * s, 3.6 * s, 3.4 * s],
        ),
        Tubes.polyline([frame.at(-24, 2, 440), frame.at(-70, 18, 458), frame.at(-130, 28, 430)], 4.5 * s),
        Tubes.polyline(
            [arch[1], frame.at(24, 6, 450), frame.at(34, 12, 500), frame.at(34, 14, 570)],
            [4.5 * s, 4 * s, 3.6 * s, 3.4 * s],
        ),
        Tubes.polyline([arch[2], frame.at(34, 24, 450), frame.at(75, 22, 458), frame.at(130, 28, 430)], 4.5 * s),
    ]
    arteries = Tubes.joined([aorta, *branches])
    paint_tube_layers(canvas, arteries, [(0.0, palette["muscle"]), (1.2 * s, palette["blood"])])
    _plaques(canvas, frame, aorta, palette, draw)
    _airways(canvas, frame, thorax, palette, air)
    for side in (-1, 1):
        lobe = ellipsoid(frame.at(side * 20, 4, 478), (10 * s, 12 * s, 24 * s))
        canvas.paint(lobe, palette["thyroid"])
    for _ in range(draw.integer(3, 9)):
        node = frame.at(draw.uniform(-30, 30), draw.uniform(-30, 25), draw.uniform(340, 400))
        canvas.paint(ellipsoid(node, [draw.uniform(2.5, 5.5) * s for _ in range(3)]), palette["lymph_node"])


def _plaques(canvas: Canvas, frame: Frame, aorta: Tubes, palette: Palette, draw: Draw) -> None:
    count = 0 if frame.child else max(int(draw.normal(-4, 14)), 0)
    for _ in range(count):
        number = draw.integer(2, len(aorta.start) - 1)
        share, angle = draw.uniform(0, 1), draw.uniform(0, 2 * math.pi)
        along = aorta.end[number] - aorta.start[number]
        middle = aorta.start[number] + share * along
        side = np.cross(along, (math.cos(angle), math.sin(angle), 0.3))
        side /= np.linalg.norm(side)
        size = draw.uniform(1.0, 3.5)
        place = tuple(middle + side * (aorta.radius_start[number] - 0.8))
        canvas.paint(ellipsoid(place, (0.6 * size, 0.6 * size, size)), palette["calcification"])


def _airways(canvas: Canvas, frame: Frame, thorax: Thorax, palette: Palette, air: float) -> None:
    s = frame.scale
    carina = frame.at(-1, 10, 384)
    windpipe = [frame.from_spine(0, -32, 560), frame.from_spine(0, -34, 500), frame.from_spine(2, -36, 440), carina]
    radius = 8.5 * s * (0.88 if frame.female else 1.0)
    lines = [Tubes.polyline(windpipe, radius)]
    for side in (-1, 1):
        root = hilum(frame, thorax, side)
        middle = tuple(0.5 * (a + b) for a, b in zip(carina, root))
        lines.append(Tubes.polyline([carina, middle, root], [7.2 * s, 6.4 * s, 5.4 * s]))
        low = frame.at(side * 52, 28, 312)
        lines.append(Tubes.polyline([root, low], [5.2 * s, 4 * s]))
    tubes = Tubes.joined(lines)
    paint_tube_layers(canvas, tubes.grown(1.5 * s), [(0.0, palette["airway_wall"]), (1.5 * s, air)])

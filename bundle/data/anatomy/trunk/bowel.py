"""Small and large bowel with gas, fluid and stool, and the mesentery."""

from __future__ import annotations

import numpy as np

from bundle.data.anatomy.canvas import Canvas, Paint
from bundle.data.anatomy.shapes import ellipsoid
from bundle.data.anatomy.tissues import Palette
from bundle.data.anatomy.trunk.frame import Frame
from bundle.data.anatomy.variation import Draw
from bundle.data.anatomy.vessels import Tubes, grow_tree, paint_tube_layers, paint_tubes

__all__ = ["paint_bowel", "smooth_line"]

_COLON = (
    ((-86, -12, -2), (-92, -6, 40), (-96, 6, 85), (-92, 0, 125)),
    ((-84, -30, 132), (-50, -66, 112), (0, -76, 96), (48, -68, 118), (86, -22, 172), (98, 12, 188)),
    ((104, 30, 165), (104, 36, 110), (102, 26, 55), (94, 4, 10)),
    ((80, -12, -14), (44, -20, -34), (10, 2, -20), (-16, 22, -34), (4, 44, -44)),
)
_RADII = (25, 21, 17, 15)


def smooth_line(places: np.ndarray, count: int) -> np.ndarray:
    """[count, 3] points on a Catmull-Rom curve through [N, 3] corners."""
    padded = np.concatenate([2 * places[:1] - places[1:2], places, 2 * places[-1:] - places[-2:-1]])
    t = np.linspace(0, len(places) - 1 - 1e-9, count)
    i = t.astype(int)
    u = (t - i)[:, None]
    a, b, c, d = (padded[i + n] for n in range(4))
    return 0.5 * (2 * b + (c - a) * u + (2 * a - 5 * b + 4 * c - d) * u**2 + (3 * b - a - 3 * c + d) * u**3)


def paint_bowel(canvas: Canvas, frame: Frame, palette: Palette, draw: Draw) -> None:
    """Paints small bowel first, then the colon, which frames it."""
    _small_bowel(canvas, frame, palette, draw.part("small bowel"))
    _colon(canvas, frame, palette, draw.part("colon"))


def _small_bowel(canvas: Canvas, frame: Frame, palette: Palette, draw: Draw) -> None:
    s = frame.scale
    wide = draw.log_normal(1.0, 0.12)
    oral = draw.chance(0.3)
    bright = draw.uniform(120, 450)
    loops, ends = [], []
    for _ in range(draw.integer(24, 34)):
        # loops lie side by side in the middle and in the pelvis
        middle = np.array([draw.normal(10, 48), draw.uniform(-74, 12), draw.uniform(-62, 128)])
        middle[0] *= float(np.interp(middle[2], (-60, 0, 60, 120), (0.5, 1.1, 1.15, 0.9)))
        steps = draw.normals(5, 3) * np.array([30, 15, 20])
        corners = middle + steps
        corners[:, 0] = np.clip(corners[:, 0], -78, 88)
        corners[:, 1] = np.clip(corners[:, 1], -72, 16)
        corners[:, 2] = np.clip(corners[:, 2], -75, 140)
        line = smooth_line(np.array([frame.at(*c) for c in corners]), 22)
        radius = np.clip(draw.normal(12.0, 2.0) * wide + 1.6 * draw.normals(22), 7.5, 17.5) * s
        fluid = palette["bowel_fluid"]
        content = Paint(bright * draw.uniform(0.6, 1.0), 30) if oral and draw.chance(0.6) else fluid
        wall = draw.uniform(2.2, 3.4) * s
        tubes = Tubes.polyline(line, radius)
        collapsed = draw.chance(0.35)
        layers = [(0.0, palette["bowel_wall"]), (wall, palette["bowel_wall"] if collapsed else content)]
        gas, begin = draw.chance(0.22), draw.integer(0, 15)
        loops.append((tubes, layers, gas, begin))
        ends.append(line)
    root = frame.from_spine(2, -46, 110)
    places = np.concatenate([line[::4] for line in ends])
    vessels = grow_tree(root, places, draw, 3.6 * s, 0.6, murray=2.6)
    paint_tubes(canvas, vessels, palette["portal_blood"])
    for tubes, layers, gas, begin in loops:
        paint_tube_layers(canvas, tubes, layers, "cavity")
        if gas:
            chosen = slice(begin, begin + 6)
            shift = np.array([0.0, -3.0 * s, 0.0])
            bubble = Tubes(
                tubes.start[chosen] + shift,
                tubes.end[chosen] + shift,
                tubes.radius_start[chosen],
                tubes.radius_end[chosen],
            )
            paint_tube_layers(canvas, bubble.grown(-5.0 * s), [(0.0, palette["bowel_gas"])], "cavity")


def _colon(canvas: Canvas, frame: Frame, palette: Palette, draw: Draw) -> None:
    s = frame.scale
    wide = draw.log_normal(1.0, 0.14)
    gassy, loaded = draw.uniform(0.1, 0.8), draw.uniform(0.2, 0.9)
    for corners, radius in zip(_COLON, _RADII):
        moved = np.array(corners, dtype=float) + draw.normals(len(corners), 3) * np.array([5, 6, 8])
        count = 14 * len(corners) - 10
        line = smooth_line(np.array([frame.at(*c) for c in moved]), count)
        length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
        pouches = 1 + 0.16 * np.sin(2 * np.pi * length / (draw.uniform(26, 36) * s) + draw.uniform(0, 6))
        slow = 1 + 0.18 * np.interp(length, np.linspace(0, length[-1], 6), draw.normals(6))
        radii = np.clip(radius * wide * pouches * slow, 8, 32) * s
        tubes = Tubes.polyline(line, radii)
        paint_tube_layers(
            canvas,
            tubes,
            [(0.0, palette["bowel_wall"]), (2.2 * s, palette["stool" if draw.chance(loaded) else "bowel_fluid"])],
            "cavity",
        )
        begin = 0
        while begin < len(tubes.start):
            stop = begin + draw.integer(4, 14)
            if draw.chance(gassy):
                part = slice(begin, stop)
                fill = draw.uniform(0.45, 1.0)  # gas lies in front of what else is inside
                reduced = np.maximum(tubes.radius_start[part] - 2.2 * s, 2) * fill
                ends = np.maximum(tubes.radius_end[part] - 2.2 * s, 2) * fill
                shift = np.array([0.0, -1.0, 0.0]) * (reduced * (1 - fill) / fill)[:, None]
                bubble = Tubes(tubes.start[part] + shift, tubes.end[part] + shift, reduced, ends)
                paint_tube_layers(canvas, bubble, [(0.0, palette["bowel_gas"])], "cavity")
            begin = stop
    for _ in range(draw.integer(0, 8)):  # dense bits in the stool
        x, y, z = frame.at(*_COLON[draw.choice((0, 2, 3))][draw.integer(0, 3)])
        place = (x + draw.normal(0, 6), y + draw.normal(0, 6), z + draw.normal(0, 14))
        canvas.paint(ellipsoid(place, (draw.uniform(1, 3),) * 3), draw.uniform(150, 600), "cavity")

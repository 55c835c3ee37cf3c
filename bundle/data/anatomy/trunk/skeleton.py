"""Spine, ribs, sternum, shoulder girdle and the bones of the arms."""

from __future__ import annotations

import math

import numpy as np

from bundle.data.anatomy.canvas import Canvas
from bundle.data.anatomy.shapes import (
    Shape,
    column,
    ellipsoid,
    half_space,
    intersection,
    rotation,
    smooth_union,
    superellipsoid,
    tube,
)
from bundle.data.anatomy.tissues import Palette
from bundle.data.anatomy.trunk.body import arm_course
from bundle.data.anatomy.trunk.frame import Frame
from bundle.data.anatomy.variation import Draw
from bundle.data.anatomy.vessels import Tubes, paint_tube_layers

__all__ = ["paint_shoulders", "paint_spine", "paint_thorax_bones", "vertebral_levels"]

_LUMBAR_MM, _THORACIC_MM, _CERVICAL_MM = 36.5, 23.4, 17.5  # vertebra with its disc, reference


def vertebral_levels() -> list[tuple[str, float, float]]:
    """(name, z of the middle, height with disc) from L5 up to C2, in reference mm."""
    found, z = [], 4.0
    for number in range(5, 0, -1):
        found.append((f"L{number}", z + _LUMBAR_MM / 2, _LUMBAR_MM))
        z += _LUMBAR_MM
    for number in range(12, 0, -1):
        height = _THORACIC_MM * (1 + 0.028 * (number - 6.5))
        found.append((f"T{number}", z + height / 2, height))
        z += height
    for number in range(7, 1, -1):
        found.append((f"C{number}", z + _CERVICAL_MM / 2, _CERVICAL_MM))
        z += _CERVICAL_MM
    return found


def paint_spine(canvas: Canvas, frame: Frame, palette: Palette, draw: Draw) -> None:
    """Paints discs, vertebrae, the canal with cord, and the sacrum."""
    draw = draw.part("spine")
    s = frame.scale
    levels = vertebral_levels()
    size = draw.log_normal(1.0, 0.05)
    knots = np.linspace(-20, 590, 24)
    width = [size * s * _body_half(z)[0] for z in knots]
    deep = [size * s * _body_half(z)[1] for z in knots]
    spine = [frame.spine(z) for z in knots]
    discs = column([z * s for z in knots], [p[0] for p in spine], [p[1] for p in spine], width, deep, exponent=2.3)
    canvas.paint(discs, palette["disc"])
    canal = [frame.from_spine(0, _body_half(z)[1] * size + 8, z) for z in np.linspace(-40, 600, 18)]
    paint_tube_layers(canvas, Tubes.polyline(canal, 9.5 * s), [(0.0, palette["visceral_fat"]), (2.0, palette["csf"])])
    cord = [frame.from_spine(0, _body_half(z)[1] * size + 8, z) for z in np.linspace(170, 600, 12)]
    paint_tube_layers(canvas, Tubes.polyline(cord, 4.8 * s), [(0.0, palette["spinal_cord"])])
    arches = []
    cortex = max(1.1 * s, 0.6)
    for name, z, height in levels:
        x, y = frame.spine(z)
        ahead, behind = frame.spine(z + 6), frame.spine(z - 6)
        lean = math.degrees(math.atan2(ahead[1] - behind[1], 12 * s))
        side = math.degrees(math.atan2(ahead[0] - behind[0], 12 * s))
        half_x, half_y = (size * s * v for v in _body_half(z))
        tall = 0.5 * height * s * (0.76 if name[0] == "L" else 0.8) * draw.normal(1.0, 0.02)
        turned = rotation(-lean, side, draw.normal(0, 2))
        body = superellipsoid((x, y, z * s), (half_x, half_y, tall), 3.6, turned)
        spongy = palette["vertebral_bone"]
        canvas.paint_layers(body, [(0.0, palette["thin_cortex"]), (cortex, spongy)])
        arches.append(_arch(frame, name, z, size, draw))
    posterior = Tubes.joined(arches)
    paint_tube_layers(
        canvas, posterior, [(0.0, palette["thin_cortex"]), (1.6 * s, palette["trabecular_bone"])], "flesh"
    )
    _sacrum(canvas, frame, palette)


def _body_half(z: float) -> tuple[float, float]:
    """Half-width and half-depth of vertebral bodies at a reference level."""
    knots = (-20, 60, 190, 300, 400, 470, 600)
    return (
        float(np.interp(z, knots, (26, 25, 20.5, 16.5, 15, 14.5, 11))),
        float(np.interp(z, knots, (17.5, 17.5, 15.5, 14.5, 12, 9.5, 8))),
    )


def _arch(frame: Frame, name: str, z: float, size: float, draw: Draw) -> Tubes:
    """Pedicles, laminae and processes of one vertebra."""
    half_x, half_y = _body_half(z)
    kind = name[0]
    reach = {"L": 39, "T": 29, "C": 24}[kind] * draw.normal(1.0, 0.05)
    spinous = {"L": 36, "T": 30, "C": 22}[kind] * draw.normal(1.0, 0.08)
    drop = {"L": -8, "T": -24, "C": -9}[kind]
    thick = {"L": 1.0, "T": 0.8, "C": 0.62}[kind] * size * frame.scale
    canal = half_y + 16
    tilt = draw.normal(0, 1.5)

    def place(x: float, y: float, up: float) -> tuple[float, float, float]:
        base = frame.from_spine(x * size, y * size, z)
        return base[0], base[1], base[2] + up * frame.scale

    lines = [([place(0, canal, -3), place(tilt, canal + spinous, drop)], (4.0, 4.2 if kind == "L" else 3.2))]
    if kind == "L":  # their spines are tall plates
        lines += [([place(0, canal, up), place(tilt, canal + spinous - 2, drop + up)], (3.8, 4.2)) for up in (-8, 2)]
    for side in (-1, 1):
        root, joint = place(side * (half_x - 7), half_y - 4, 4), place(side * 14.5, half_y + 9, 2)
        lines += [
            ([root, joint], (5.2, 5.6)),
            ([joint, place(0, canal + 3, -4)], (4.2, 3.8)),
            ([joint, place(side * reach, half_y + (12 if kind != "T" else 20), 3)], (4.8, 3.6)),
            ([place(side * 15, half_y + 12, 13), place(side * 15, half_y + 14, -14)], (5.2, 5.8)),
        ]
    return Tubes.joined([Tubes.polyline(line, [r * thick for r in radii]) for line, radii in lines])


def _sacrum(canvas: Canvas, frame: Frame, palette: Palette) -> None:
    s = frame.scale
    zs = (-112, -95, -75, -50, -25, -5, 5)
    centres = [frame.from_spine(0, 5, z) for z in zs]
    body = column(
        [c[2] for c in centres],
        [c[0] for c in centres],
        [c[1] for c in centres],
        [v * s * frame.width for v in (6, 11, 24, 42, 52, 54, 44)],
        [v * s for v in (4, 6, 9, 13, 17, 19, 18)],
        [v * s for v in (5, 7, 12, 17, 20, 20, 16)],
        2.2,
    )
    canvas.paint_layers(body, [(0.0, palette["thin_cortex"]), (1.6 * s, palette["trabecular_bone"])])
    holes = []
    for z in (-18, -38, -57, -74):
        for side in (-1, 1):
            x = side * float(np.interp(z, (-80, -10), (12, 22)))
            holes.append(Tubes.polyline([frame.from_spine(x, -14, z - 4), frame.from_spine(x, 24, z + 4)], 4.6 * s))
    paint_tube_layers(canvas, Tubes.joined(holes), [(0.0, palette["visceral_fat"])])
    canal = [frame.from_spine(0, 19, 5), frame.from_spine(0, 15, -30), frame.from_spine(0, 10, -70)]
    paint_tube_layers(canvas, Tubes.polyline(canal, [8 * s, 6 * s, 3 * s]), [(0.0, palette["csf"])])


def paint_thorax_bones(canvas: Canvas, frame: Frame, palette: Palette, draw: Draw) -> None:
    """Paints ribs, costal cartilages and sternum."""
    draw = draw.part("ribs")
    s = frame.scale
    levels = {name: z for name, z, _ in vertebral_levels()}
    slope = draw.normal(1.0, 0.1)
    thick = draw.log_normal(1.0, 0.08)
    drops = (34, 52, 66, 78, 88, 94, 97, 96, 92, 84, 60, 34)
    ends = (2.35, 2.45, 2.5, 2.5, 2.45, 2.4, 2.3, 2.12, 1.98, 1.85, 1.3, 0.85)
    inserts = (414, 400, 380, 361, 343, 327, 312)
    bones, cartilages = [], []
    for number in range(12):
        z0 = levels[f"T{number + 1}"] + 8
        for side in (-1, 1):
            count = 11
            end = ends[number] * draw.normal(1.0, 0.015)
            places = [frame.from_spine(side * 15, 11, z0), frame.from_spine(side * 27, 22, z0 - 2)]
            for angle in np.linspace(0.36, end, count):
                z = z0 - slope * drops[number] * (0.5 - 0.5 * math.cos(angle)) * 1.05
                places.append(_on_ribs(frame, side, angle, z))
            radius = (3.1 if number not in (0, 11) else 2.7) * s * thick
            bones.append(_flat(places, [1.15 * radius, *[radius] * (len(places) - 1)], frame, 3.3 * s * thick))
            if number < 10:
                target = inserts[min(number, 6)]
                start = places[-1]
                goal = frame.at(side * (19 if number < 7 else 26), -1, target)
                front = frame.ribs_at(target)[1] + 6 * s
                goal = (goal[0], front, goal[2] - (0 if number < 7 else (number - 6) * 9 * s))
                middle_z = 0.6 * start[2] + 0.4 * goal[2] - 6 * s
                middle = _on_ribs(frame, side, 0.5 * (end + 2.95), middle_z / s)
                cartilages.append(_flat([start, middle, goal], [3.6 * s * thick] * 3, frame, 2.6 * s * thick))
    old = draw.uniform(0, 1)
    paint_tube_layers(canvas, Tubes.joined(cartilages), [(0.0, palette["cartilage"])])
    if old > 0.55 and not frame.child:
        chosen = [part.grown(-1.6 * s) for part in cartilages if draw.chance(old - 0.3)]
        if chosen:
            paint_tube_layers(canvas, Tubes.joined(chosen), [(0.0, 350 * old)])
    paint_tube_layers(canvas, Tubes.joined(bones), [(0.0, palette["cortical_bone"]), (1.0 * s, palette["rib_bone"])])
    _sternum(canvas, frame, palette)


def _flat(places: list[tuple], radii: list[float], frame: Frame, half_mm: float) -> Tubes:
    """A rib: higher than thick, its broad side on the rib cage."""
    line = Tubes.polyline(places, radii)
    stretch = []
    for middle, along in zip((line.start + line.end) / 2, line.end - line.start):
        level, reach = middle[2] / frame.scale, 6.0
        above, below = frame.ribs_at(level + reach), frame.ribs_at(level - reach)
        half, front, back = frame.ribs_at(level)
        share = min(abs(middle[0]) / half, 1.0)
        slope_x = math.copysign((above[0] - below[0]) * share, middle[0])
        end = 2 if middle[1] > 0.5 * (front + back) else 1
        up = np.array([slope_x, (above[end] - below[end]) * (1 - share), 2 * reach * frame.scale])
        up -= along * (up @ along) / max(along @ along, 1e-6)
        stretch.append(half_mm * up / max(float(np.linalg.norm(up)), 1e-6))
    return line.stretched(np.array(stretch))


def _on_ribs(frame: Frame, side: int, angle: float, z: float) -> tuple[float, float, float]:
    """A place in the rib cage's wall: ``angle`` 0 is the back, pi the front."""
    half, front, back = frame.ribs_at(z)
    middle = 0.45 * front + 0.55 * back
    deep = (back - middle if angle < math.pi / 2 else middle - front) - 4.5 * frame.scale
    power = 2 / 2.3
    sine, cosine = math.sin(angle), math.cos(angle)
    x = side * (half - 4.5 * frame.scale) * abs(sine) ** power
    y = middle + math.copysign(abs(cosine) ** power, cosine) * deep
    return x + 0.4 * frame.spine(z)[0], y, z * frame.scale


def _sternum(canvas: Canvas, frame: Frame, palette: Palette) -> None:
    s = frame.scale
    parts = []
    for z, half in ((404, (26, 5.5, 20)), (360, (16, 5, 26)), (318, (19, 5, 26)), (283, (9, 3, 13))):
        front = frame.ribs_at(z)[1] + 5 * s
        slope = (frame.ribs_at(z + 10)[1] - frame.ribs_at(z - 10)[1]) / (20 * s)
        centre = (frame.at(0, -80, z)[0], front, z * s)
        parts.append(superellipsoid(centre, [v * s for v in half], 3.5, rotation(-math.degrees(math.atan(slope)))))
    for part in parts:
        canvas.paint_layers(part, [(0.0, palette["thin_cortex"]), (1.2 * s, palette["trabecular_bone"])])


def paint_shoulders(canvas: Canvas, frame: Frame, palette: Palette, draw: Draw) -> None:
    """Paints clavicles, scapulae, humeri and forearms."""
    s = frame.scale
    body = draw.part("body")  # the arms lie as paint_body drew them
    up = frame.arms == "up"
    thin, thick = [], []
    for side in (-1, 1):
        course = arm_course(frame, side, body)
        joint = course[0]
        lift = 14 if up else 0
        manubrium = (frame.at(side * 20, 0, 424)[0], frame.ribs_at(424)[1] + 2 * s, 424 * s)
        acromion = (joint[0] - side * 2 * s, joint[1] + 12 * s, joint[2] + 28 * s)
        clavicle = [manubrium, frame.at(side * 62, -44, 436 + lift), frame.at(side * 112, -8, 456 + lift), acromion]
        thin.append(Tubes.polyline(clavicle, [8 * s, 6 * s, 5.5 * s, 6 * s]))
        out = 16 if up else 0
        medial_top = frame.at(side * (76 + out), 82, 446 + lift)
        corner = frame.at(side * (92 + 2.2 * out), 92 - out, 318 + lift)
        socket = (joint[0] - side * 27 * s, joint[1] + 6 * s, joint[2] - 4 * s)
        blade = _plate(medial_top, corner, socket, 1.6 * s)
        canvas.paint(blade, palette["cortical_bone"], "flesh")
        thin += [
            Tubes.polyline([corner, socket], [4.5 * s, 7 * s]),
            Tubes.polyline([medial_top, corner], [2.5 * s, 3 * s]),
            Tubes.polyline([frame.at(side * (80 + out), 90, 424 + lift), acromion], [3.5 * s, 7.5 * s]),
            Tubes.polyline([socket, (socket[0], socket[1] - 3 * s, socket[2] + 12 * s)], [11 * s, 9 * s]),
            Tubes.polyline([socket, (socket[0] + side * 6 * s, socket[1] - 32 * s, socket[2] + 18 * s)], 5.5 * s),
        ]
        head = ellipsoid(joint, (23 * s,) * 3)
        neck = tube([joint, _between(joint, course[1], 0.2)], [22 * s, 14 * s])
        canvas.paint_layers(
            smooth_union(head, neck, 8 * s), [(0.0, palette["cortical_bone"]), (1.5 * s, palette["trabecular_bone"])]
        )
        thick.append(Tubes.polyline([_between(joint, course[1], 0.15), course[1]], [12.5 * s, 11 * s]))
        if len(course) > 2:
            for shift in (-9, 9):
                line = [(x + shift * s, y, z) for x, y, z in course[1:3]]
                thick.append(Tubes.polyline(line, [9 * s, 7 * s]))
            for finger in (-14, -5, 4, 13):
                a, b = course[2], course[3]
                thin.append(Tubes.polyline([a, (b[0] + finger * s, b[1] + 0.5 * finger * s, b[2])], [5 * s, 4 * s]))
    paint_tube_layers(
        canvas, Tubes.joined(thin), [(0.0, palette["cortical_bone"]), (1.5 * s, palette["trabecular_bone"])], "flesh"
    )
    paint_tube_layers(
        canvas, Tubes.joined(thick), [(0.0, palette["cortical_bone"]), (4.0 * s, palette["yellow_marrow"])]
    )


def _plate(first: tuple, second: tuple, third: tuple, half_thickness: float) -> Shape:
    """A triangular plate between three corners in mm."""
    a, b, c = (np.array(v) for v in (first, second, third))
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal)
    sides = [
        half_space(tuple(normal), tuple(a + half_thickness * normal)),
        half_space(tuple(-normal), tuple(a - half_thickness * normal)),
    ]
    for p, q, other in ((a, b, c), (b, c, a), (c, a, b)):
        outward = np.cross(q - p, normal)
        if outward @ (other - p) > 0:
            outward = -outward
        sides.append(half_space(tuple(outward), tuple(p)))
    low, high = np.minimum(np.minimum(a, b), c) - 3, np.maximum(np.maximum(a, b), c) + 3
    whole = intersection(*sides)
    return Shape(whole.distance, tuple(low), tuple(high))


def _between(a: tuple, b: tuple, share: float) -> tuple[float, float, float]:
    return tuple(p + share * (q - p) for p, q in zip(a, b))

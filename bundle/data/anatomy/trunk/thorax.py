"""Diaphragm, lungs with their trees and diseases, and the heart."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bundle.data.anatomy.canvas import Canvas, Paint
from bundle.data.anatomy.shapes import (
    Points,
    Shape,
    column,
    difference,
    ellipsoid,
    intersection,
    offset,
    rotation,
    smooth_union,
    tube,
)
from bundle.data.anatomy.tissues import Palette
from bundle.data.anatomy.trunk.frame import Frame
from bundle.data.anatomy.variation import Draw, lattice_field
from bundle.data.anatomy.vessels import Tubes, grow_tree, paint_tube_layers, paint_tubes, random_places
from bundle.fixed_tuples import triple

__all__ = [
    "Thorax",
    "draw_thorax",
    "heart_outline",
    "hilum",
    "lung_shape",
    "moved",
    "paint_heart",
    "paint_lungs",
    "paint_thoracic_cavity",
]

Place = tuple[float, float, float]


@dataclass(frozen=True)
class Thorax:
    """What chest and abdomen share.

    Args:
        inside: the space within the ribs, open below.
        diaphragm: all above the diaphragm; negative in the chest.
        heart: middle of the heart, mm.
        heart_size: factor of its size.
        heart_axis: rotation that lays its long axis along x.
        dome_mm: z of the right dome.
    """

    inside: Shape
    diaphragm: Shape
    heart: Place
    heart_size: float
    heart_axis: list[list[float]]
    dome_mm: float


def draw_thorax(frame: Frame, draw: Draw) -> Thorax:
    """Draws diaphragm and heart."""
    draw = draw.part("thorax")
    s = frame.scale
    right = 258 - frame.breath_mm
    left = right - draw.normal(11, 5)
    if draw.chance(0.04):  # raised on one side
        left, right = (left + 35, right) if draw.chance(0.5) else (left, right + 35)
    heart_size = s * draw.log_normal(1.0, 0.08) * (0.95 if frame.female else 1.0)
    if not frame.child and draw.chance(0.1):
        heart_size *= draw.uniform(1.1, 1.25)
    lying = draw.normal(0.0, 8.0) + 0.5 * frame.breath_mm
    axis = rotation(draw.normal(0, 5), 28 + lying, -36 + draw.normal(0, 5))
    heart = frame.at(27 + draw.normal(0, 5), -32, min(left, right) + 36)
    return Thorax(
        inside=offset(frame.rib_cage(), -9.5 * s),
        diaphragm=_diaphragm(frame, right, left, draw),
        heart=(heart[0], heart[1] + 4 * s * (heart_size / s - 1) * 10, heart[2]),
        heart_size=heart_size,
        heart_axis=axis,
        dome_mm=right * s,
    )


def _diaphragm(frame: Frame, right: float, left: float, draw: Draw) -> Shape:
    s, w, d = frame.scale, frame.scale * frame.width, frame.scale * frame.depth
    domes = []
    for side, top in ((-1, right), (1, left)):
        centre = frame.at(side * draw.normal(66, 4), draw.normal(-8, 6), top)
        domes.append((centre, 82 * w, 92 * d, 96 * d + 0.5 * frame.belly_mm, draw.normal(96, 8) * s))
    power = draw.uniform(2.1, 2.7)

    def distance(points: Points) -> Tensor:
        heights, slopes = [], []
        for (x0, y0, z0), rx, back, front, drop in domes:
            x, y = (points.x - x0) / rx, points.y - y0
            y = torch.where(y > 0, y / back, y / front * 0.72)
            q = (x * x + y * y).sqrt().clamp(min=1e-3, max=1.35)
            heights.append(z0 - drop * q**power)
            slopes.append(drop / rx * power * q ** (power - 1))
        lower, upper = torch.minimum(*heights), torch.maximum(*heights)
        slope = torch.where(heights[0] > heights[1], slopes[0], slopes[1])
        gap = (30 * s - (upper - lower)).clamp(min=0)
        return (upper + gap * gap / (120 * s) - points.z) / (1 + slope * slope).sqrt()

    big = 400.0
    return Shape(distance, (-big, -big, 100 * s), (big, big, 560 * s))


def paint_thoracic_cavity(canvas: Canvas, frame: Frame, thorax: Thorax, palette: Palette) -> None:
    """Fills the chest above the diaphragm with mediastinal fat."""
    s = frame.scale
    space = intersection(thorax.inside, thorax.diaphragm)
    low = (thorax.inside.low[0], thorax.inside.low[1], 150 * s)
    high = (thorax.inside.high[0], thorax.inside.high[1], 462 * s)
    cut = Shape(lambda p: space.distance(p).maximum(p.z - 448 * s), low, high)
    canvas.paint(cut, palette["visceral_fat"])


def lung_shape(frame: Frame, thorax: Thorax, side: int) -> Shape:
    """The space in the ribs above the diaphragm without mediastinum, heart and spine.

    Args:
        frame: proportions.
        thorax: diaphragm and heart.
        side: 1 for the left lung, -1 for the right one, 0 for both.
    """
    s = frame.scale
    zs = (150, 220, 260, 300, 340, 370, 400, 430, 455, 485)
    half = [v * s for v in (24, 25, 24, 22, 23, 25, 25, 25, 27, 28)]
    front = [frame.ribs_at(z)[1] for z in zs]
    spine = [frame.spine(z) for z in zs]
    middle = [0.5 * y + 0.18 * f for f, (_, y) in zip(front, spine)]
    mediastinum = column(
        [z * s for z in zs],
        [x + 2 * s for x, _ in spine],
        middle,
        half,
        [max(m - f, 5.0) for m, f in zip(middle, front)],
        [max(y - m + 16 * s, 5.0) for m, (_, y) in zip(middle, spine)],
        1.75,
        capped=False,
    )
    bone = tube(
        [frame.from_spine(0, 4, z) for z in (150, 220, 290, 360, 430, 490)],
        [23 * s, 22 * s, 21 * s, 20 * s, 20 * s, 20 * s],
    )
    heart = offset(heart_outline(thorax), 5 * s)
    low = (thorax.inside.low[0], thorax.inside.low[1], 130 * s)
    high = (thorax.inside.high[0], thorax.inside.high[1], 484 * s)
    if side:
        low, high = (low, (30 * s, *high[1:])) if side < 0 else ((-30 * s, *low[1:]), high)

    def distance(points: Points) -> Tensor:
        space = thorax.inside.distance(points).maximum(thorax.diaphragm.distance(points) + 2.5 * s)
        space = space.maximum(-mediastinum.distance(points)).maximum(-bone.distance(points))
        space = space.maximum(-heart.distance(points))
        aside = points.x.abs() if side == 0 else side * points.x
        apex = ((aside - 48 * s) / (48 * s)) ** 2 + ((points.y - 42 * s) / (60 * s)) ** 2
        return space.maximum(2.0 * s - aside).maximum((points.z - (484 - 28 * apex) * s) * 0.75)

    return Shape(distance, low, high)


def paint_lungs(canvas: Canvas, frame: Frame, thorax: Thorax, palette: Palette, draw: Draw) -> None:
    """Paints parenchyma, fissures, vessels, airways and now and then disease; marks the region ``lung``."""
    draw = draw.part("lungs")
    s = frame.scale
    lungs = {side: lung_shape(frame, thorax, side) for side in (-1, 1)}
    gradient = draw.uniform(0.15, 0.9)
    rough = draw.log_normal(1.0, 0.35)
    emphysema = 0.0 if frame.child or not draw.chance(0.15) else draw.uniform(0.3, 1.0)
    mosaic_key, fissure = draw.key(), draw.normal(0, 8)
    dependent = draw.uniform(60, 260) if draw.chance(0.4) else 0.0  # collapse where the lungs lie on their backs
    both = lung_shape(frame, thorax, 0)
    box = canvas.box(both.low, both.high, canvas.blur_mm)
    if box is not None:
        region = torch.zeros(canvas.shape, device=canvas.device)
        base = palette["lung"].hu
        holes = (
            lattice_field([axis[part] for axis, part in zip(canvas.axes, box)], 9.0, mosaic_key) if emphysema else None
        )
        for part, rows in canvas.slabs(box):
            points = canvas.points(part)
            distance = both.distance(points)
            parenchyma = base + gradient * (points.y - 10 * s)
            if "tissue" in canvas.textures:
                parenchyma = parenchyma + (base + 1000) * 0.14 * rough * canvas.textures["tissue"][part]
            if holes is not None:
                parenchyma = parenchyma - 110 * emphysema * (holes[rows] - 0.7).clamp(0, 1)
            low = ((points.y - 25 * s) / (45 * s)).clamp(0, 1)
            rim = torch.exp(distance.clamp(max=0) * (1 / (5 * s)))  # pleura and dependent margins
            parenchyma = parenchyma + rim * (45 + dependent * low)
            parenchyma = (parenchyma + _fissures(canvas, points, s, fissure)).clamp(min=-985)
            region[part] = canvas.coverage(distance)
            canvas.hu[part] += region[part] * (parenchyma - canvas.hu[part])
        canvas.regions["lung"] = region
    else:
        canvas.regions["lung"] = torch.zeros(canvas.shape, device=canvas.device)
    disease = draw.part("disease")
    _trees(canvas, frame, thorax, lungs, palette, draw, visible=box is not None)
    if box is not None and not frame.child:
        _disease(canvas, frame, lungs, palette, disease)


def _fissures(canvas: Canvas, points: Points, s: float, shift: float) -> Tensor:
    """HU that the oblique fissures and the right lung's horizontal one add."""
    blur = canvas.blur_mm
    added = torch.zeros(())
    for side, tilt, height in ((-1, 0.95, 0), (1, 1.05, 8)):
        sheet = (points.z - (315 + height + shift) * s) - tilt * (points.y - 5 * s)
        line = (1 - sheet.abs() / (math.hypot(1, tilt) * blur)).clamp_(min=0)
        if side < 0:  # it leaves the oblique one and runs forward
            level = points.z - (342 + 0.5 * shift) * s + 0.12 * points.y
            line = torch.maximum(line, (1 - level.abs() / blur).clamp_(min=0) * (sheet > 0))
        added = added + line * (side * points.x > 0)
    return added * (140 * min(1.0, 1.6 / blur))


def hilum(frame: Frame, thorax: Thorax, side: int) -> Place:
    """Where vessels and the main bronchus enter a lung."""
    return frame.at(side * (38 if side < 0 else 42), 12, 352 - 0.3 * frame.breath_mm)


def _trees(
    canvas: Canvas,
    frame: Frame,
    thorax: Thorax,
    lungs: dict[int, Shape],
    palette: Palette,
    draw: Draw,
    visible: bool,
) -> None:
    s = frame.scale
    if not visible:
        return
    vessels, airways = [], []
    blood = palette["pulmonary_blood"]
    for side in (-1, 1):
        lung, own = lungs[side], draw.part(f"tree{side}")
        places = random_places(lung, own.integer(950, 1350), own, 2.5)
        root = hilum(frame, thorax, side)
        radius = own.log_normal(7.2, 0.1) * s
        arteries = grow_tree(root, places, own, radius, 0.3, murray=2.8)
        vessels.append(arteries)
        airways.append(_bronchi(arteries, root, side, own.log_normal(0.74, 0.08), own.uniform(1.1, 1.6) * s))
        veins = random_places(lung, own.integer(650, 950), own, 2.5)
        low = (root[0], root[1] - 6 * s, root[2] - 28 * s)
        vessels.append(grow_tree(low, veins, own, 0.85 * radius, 0.3, murray=2.8))
    tubes, wall = Tubes.joined(airways), draw.log_normal(1.2, 0.06)
    paint_tubes(canvas, tubes.times(wall).grown(0.15 * s), palette["airway_wall"], "lung")
    paint_tubes(canvas, Tubes.joined(vessels), Paint(blood.hu), "lung")
    paint_tubes(canvas, tubes, -960.0)


def _bronchi(arteries: Tubes, root: Place, side: int, ratio: float, smallest_mm: float) -> Tubes:
    """Airways beside the arteries, with which they share their course.

    Args:
        arteries: of one lung, the trunk first.
        root: where the main bronchus ends.
        side: 1 for the left lung.
        ratio: radius of an airway over its artery's.
        smallest_mm: radius of the thinnest that CT shows.

    Returns:
        Their lumina.
    """
    beside = np.array((-0.3 * side, 0.7, 0.65)) * (1 + 1.25 * ratio)
    whole = Tubes(
        arteries.start + beside * arteries.radius_start[:, None],
        arteries.end + beside * arteries.radius_end[:, None],
        ratio * arteries.radius_start,
        ratio * arteries.radius_end,
    )
    keep = whole.radius_end >= smallest_mm
    shown = Tubes(whole.start[keep], whole.end[keep], whole.radius_start[keep], whole.radius_end[keep])
    stem = Tubes.polyline([root, tuple(whole.start[0])], whole.radius_start[0])
    return Tubes.joined([stem, shown])


def _disease(canvas: Canvas, frame: Frame, lungs: dict[int, Shape], palette: Palette, draw: Draw) -> None:
    s = frame.scale
    if draw.chance(0.35):  # nodules and masses
        for _ in range(draw.integer(1, 6)):
            lung = lungs[draw.choice((-1, 1))]
            places = random_places(lung, 1, draw, 6.0)
            radius = draw.log_uniform(2.5, 9.0) if draw.chance(0.85) else draw.uniform(10, 28)
            shape = [radius * draw.normal(1, 0.15) for _ in range(3)]
            if len(places):
                canvas.paint(ellipsoid(tuple(places[0]), shape), palette["tumour"], "lung")
    if draw.chance(0.14):  # consolidation or ground glass
        lung = lungs[draw.choice((-1, 1))]
        places = random_places(lung, 1, draw, 4.0)
        radius, strength, key = draw.uniform(15, 55) * s, draw.uniform(0.2, 0.95), draw.key()
        if len(places):
            patch = ellipsoid(tuple(places[0]), (radius, radius, 1.2 * radius))
            box = canvas.box(patch.low, patch.high, 8)
            if box is not None:
                points = canvas.points(box)
                axes = [axis[part] for axis, part in zip(canvas.axes, box)]
                rough = lattice_field(axes, 11.0, key)
                share = (0.4 - patch.distance(points) / (0.5 * radius) + 0.35 * rough).clamp(0, 1) * strength
                canvas.blend(box, share, palette["consolidation"], "lung")
    if draw.chance(0.12):  # effusion: fluid lies at the back
        sides = draw.choice(((-1,), (1,), (-1, 1)))
        level = draw.uniform(40, 78)
        for side in sides:
            lung = lungs[side]
            top = frame.at(0, level, 250)[1]
            fluid = Shape(_below(lung, top), (lung.low[0], top, lung.low[2]), lung.high)
            canvas.paint(fluid, palette["effusion"])


def _below(lung: Shape, top: float) -> Callable[[Points], Tensor]:
    return lambda points: lung.distance(points).maximum(top - points.y)


def heart_outline(thorax: Thorax) -> Shape:
    """The heart with its fat."""
    k = thorax.heart_size
    body = ellipsoid(thorax.heart, (66 * k, 45 * k, 48 * k), thorax.heart_axis)
    right = ellipsoid(moved(thorax.heart, (-34 * k, -2 * k, 14 * k)), (27 * k, 32 * k, 40 * k))
    return smooth_union(body, right, 18 * k)


def moved(place: Place, by: Place) -> Place:
    """A place shifted by so many mm."""
    return triple(a + b for a, b in zip(place, by))


def along_heart(thorax: Thorax, x: float, y: float, z: float) -> Place:
    """A place in the heart's own axes (x towards the apex), times its size."""
    k, turned = thorax.heart_size, thorax.heart_axis
    local = (x * k, y * k, z * k)
    return triple(c + sum(turned[a][b] * local[b] for b in range(3)) for a, c in enumerate(thorax.heart))


def paint_heart(canvas: Canvas, frame: Frame, thorax: Thorax, palette: Palette, draw: Draw) -> None:
    """Paints pericardial fat, myocardium and the four chambers."""
    draw = draw.part("heart")
    k, turned = thorax.heart_size, thorax.heart_axis
    canvas.paint(offset(heart_outline(thorax), 4.0 * k), palette["visceral_fat"])
    wall = draw.normal(9.5, 1.2) * k
    fat = 2.5 * k * draw.log_normal(1.0, 0.4)
    canvas.paint(offset(heart_outline(thorax), -fat), palette["myocardium"])
    grooves = [
        Tubes.polyline(
            [along_heart(thorax, -14, -40, 22), along_heart(thorax, -6, -44, 0), along_heart(thorax, -12, -34, -34)],
            5.0 * k,
        ),
        Tubes.polyline(
            [along_heart(thorax, -2, -30, 40), along_heart(thorax, 30, -36, 16), along_heart(thorax, 52, -20, -6)],
            3.2 * k,
        ),
    ]
    paint_tube_layers(canvas, Tubes.joined(grooves), [(0.0, palette["visceral_fat"])])
    left = ellipsoid(along_heart(thorax, 16, 14, 0), (47 * k, 31 * k, 33 * k), turned)
    cavity = offset(left, -wall)
    canvas.paint(left, palette["myocardium"])
    arterial, venous = palette["blood"], palette["pulmonary_blood"]
    canvas.paint(cavity, arterial)
    right = ellipsoid(along_heart(thorax, 8, -24, -6), (44 * k, 19 * k, 34 * k), turned)
    canvas.paint(difference(right, offset(left, 1.0 * k)), venous)
    atrium = ellipsoid(moved(thorax.heart, (-34 * k, -2 * k, 14 * k)), (22 * k, 26 * k, 34 * k))
    canvas.paint(atrium, palette["venous_blood"])
    behind = ellipsoid(moved(thorax.heart, (-8 * k, 38 * k, 26 * k)), (36 * k, 20 * k, 25 * k))
    canvas.paint(behind, arterial)
    if not frame.child and draw.chance(0.35):  # calcified coronary arteries
        line = [along_heart(thorax, -2, -30, 40), along_heart(thorax, 14, -36, 30), along_heart(thorax, 32, -36, 14)]
        paint_tubes(canvas, Tubes.polyline(line, draw.uniform(0.8, 1.8)), palette["calcification"])

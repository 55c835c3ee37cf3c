"""Knees, thighs and lower legs, as knee scanners and body scanners show them."""

from __future__ import annotations

from dataclasses import dataclass

from bundle.data.anatomy.canvas import Canvas
from bundle.data.anatomy.frame import Bend, Frame
from bundle.data.anatomy.limb.painting import Build, draw_build, paint_leg
from bundle.data.anatomy.shapes import rotation
from bundle.data.anatomy.texture import add_textures
from bundle.data.anatomy.tissues import draw_palette
from bundle.data.anatomy.variation import Draw

__all__ = ["paint_knee"]

_WIDE_MM = 290.0  # fields at least this wide hold two legs


@dataclass(frozen=True)
class _View:
    """Where the field looks: outward offset in mm of the examined leg, level along it, distance between the legs."""

    x: float
    y: float
    level: float
    apart: float | None


def paint_knee(canvas: Canvas, draw: Draw) -> None:
    """Paints one knee in the middle of a small field; in a wide one both legs; sometimes thighs or lower legs.

    The knees are slightly bent, turned outwards or inwards and of either side; the patient lies on the back, so
    patellae point to -y.

    Args:
        canvas: an empty grid of any size.
        draw: gives all random numbers.
    """
    scene = draw.part("scene")
    palette = draw_palette(draw, scene.choice(("native", "arterial", "portal", "late"), (0.7, 0.08, 0.14, 0.08)))
    build = draw_build(draw.part("build"))
    width = min(n * v for n, v in zip(canvas.shape[:2], canvas.voxel_mm))
    view = _draw_view(scene, width, build)
    side = scene.choice((-1, 1))  # 1: the examined leg is the left one, at positive x
    canvas.place((0.0, 0.0, 0.0), scene.normal(0.0, 4.0))
    fine = draw.part("displace")
    canvas.displace(fine, (fine.uniform(1.5, 3.5), fine.uniform(0.6, 1.3), fine.uniform(0.2, 0.45)), (110, 40, 14))
    add_textures(canvas, draw.part("texture"))
    flexion, twist = abs(scene.normal(6.0, 7.0)), scene.normal(-6.0, 9.0)
    lowest = 0.0
    legs = [(0, side * view.x)] if view.apart is None else [(1, side * (view.x - view.apart)), (0, side * view.x)]
    for number, x in legs:
        other = number == 1
        leg = draw.part(f"leg{number}")
        bend = _bend(flexion + leg.normal(0, 2), leg.normal(4.0, 3.0))
        outward = side if not other else -side
        turned = rotation(z_degrees=-outward * (twist + leg.normal(0, 3)))
        scale = (outward * build.scale[0], build.scale[1], build.scale[2])
        along = -view.level * build.scale[2] + (leg.normal(0, 8) if other else 0.0)
        origin = (x, view.y, along)
        frame = Frame(canvas, origin, turned, scale, bend)
        paint_leg(frame, build, palette, leg, other)
        lowest = max(lowest, view.y + (62 + 0.6 * build.fat_mm) * build.scale[1])
    canvas.support_mm = lowest + scene.uniform(2.0, 25.0)


def _bend(flexion: float, valgus: float) -> Bend:
    """Thigh and lower leg that meet at a rounded angle, both leaning back from the knee."""
    lean, tilt = flexion / 2 * 0.01745, valgus / 2 * 0.01745
    levels = (-400, -60, -20, 20, 60, 420)
    y = [abs(z) * lean if abs(z) > 20 else 14 * lean for z in levels]
    return Bend(levels, [abs(z) * tilt for z in levels], y)


def _draw_view(draw: Draw, width_mm: float, build: Build) -> _View:
    apart = draw.uniform(150, 215) + build.fat_mm
    if width_mm >= _WIDE_MM:
        kind = draw.choice(("both", "one", "thigh", "calf"), (0.45, 0.15, 0.2, 0.2))
        level = {"both": draw.normal(10, 35), "one": draw.normal(10, 30), "thigh": draw.uniform(120, 210),
                 "calf": draw.uniform(-200, -110)}[kind]  # fmt: skip
        shift = draw.normal(0, 12)
        if kind == "one" or (kind != "both" and draw.chance(0.4)):
            return _View(draw.normal(0, 40), draw.normal(0, 20), level, apart if draw.chance(0.5) else None)
        return _View(shift + apart / 2, draw.normal(0, 15), level, apart)
    kind = draw.choice(("knee", "thigh", "calf"), (0.72, 0.15, 0.13))
    level = {"knee": draw.normal(5, 14), "thigh": draw.uniform(80, 280), "calf": draw.uniform(-290, -60)}[kind]
    spread = 9 if kind == "knee" else 22
    return _View(draw.normal(0, spread), draw.normal(0, spread), level, apart if draw.chance(0.4) else None)

"""Teeth, on arches of the jaws.

Mesiodistal and buccolingual widths and lengths of crowns and roots in mm, from the incisor at the midline to the third
molar: Nelson & Ash, Wheeler's Dental Anatomy (table of measurements), rounded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bundle.data.anatomy.canvas import Paint
from bundle.data.anatomy.frame import Frame
from bundle.data.anatomy.shapes import tube
from bundle.data.anatomy.tissues import Palette
from bundle.data.anatomy.variation import Draw

__all__ = ["Dentition", "arch_points", "draw_dentition", "paint_teeth"]

_WIDTH = {
    "upper": (8.5, 6.6, 7.6, 7.0, 6.8, 10.2, 9.5, 8.6),
    "lower": (5.2, 5.6, 6.9, 7.0, 7.1, 11.0, 10.5, 10.0),
}
_DEPTH = {
    "upper": (7.0, 6.1, 8.0, 9.0, 9.0, 11.0, 11.0, 10.0),
    "lower": (6.0, 6.4, 7.6, 7.6, 8.0, 10.4, 10.0, 9.5),
}
_CROWN = {
    "upper": (10.5, 9.0, 10.0, 8.5, 8.5, 7.5, 7.0, 6.5),
    "lower": (9.0, 9.5, 10.5, 8.5, 8.0, 7.5, 7.0, 7.0),
}
_ROOT = {
    "upper": (13.0, 13.0, 16.5, 14.0, 14.0, 12.5, 11.5, 11.0),
    "lower": (12.5, 14.0, 15.5, 14.0, 14.5, 14.0, 13.0, 11.0),
}
_LEAN = {
    "upper": (20.0, 17.0, 9.0, 4.0, 2.0, -2.0, -4.0, -6.0),
    "lower": (16.0, 14.0, 7.0, 0.0, -5.0, -10.0, -14.0, -16.0),
}
_ARCH = {"upper": (29.5, 46.5, -49.0), "lower": (28.0, 43.5, -49.5)}  # half-width, depth, y where it is widest
_EDGE = {"upper": -52.0, "lower": -49.5}  # z of the biting edges of a closed mouth


@dataclass(frozen=True)
class Dentition:
    """Which teeth there are and what was done to them.

    Args:
        states: by (jaw, side, number): "sound", "missing", "filled", "crowned", "root-filled" or "implant".
    """

    states: dict[tuple[str, int, int], str]


def draw_dentition(draw: Draw, child: bool) -> Dentition:
    """Draws the state of all 32 teeth; side 1 is the patient's left, number 0 the incisor at the midline."""
    bare = draw.chance(0.05) and not child
    loss = 0.0 if child else draw.choice((0.01, 0.08, 0.3), (0.6, 0.3, 0.1))
    repair = draw.choice((0.0, 0.06, 0.25), (0.5, 0.3, 0.2))
    states = {}
    for jaw in ("upper", "lower"):
        for side in (1, -1):
            for number in range(8):
                state = "sound"
                if bare or draw.chance(loss) or (number == 7 and (child or draw.chance(0.35))):
                    state = "implant" if draw.chance(0.12) and number < 7 else "missing"
                elif draw.chance(repair * (1.0 if number > 2 else 0.3)):
                    state = draw.choice(("filled", "crowned", "root-filled"), (0.6, 0.25, 0.15))
                states[jaw, side, number] = state
    return Dentition(states)


def arch_points(jaw: str, width: float, count: int, level: float) -> list[tuple[float, float, float]]:
    """``count`` places (x >= 0, y, z) along the left half of an arch, from the midline back, at one level z."""
    half, depth, back = _ARCH[jaw]
    angles = np.linspace(0.02, 0.5 * math.pi, count)
    return [(half * width * math.sin(a), back - depth * math.cos(a), level) for a in angles]


def paint_teeth(frame: Frame, jaw: str, width: float, dentition: Dentition, palette: Palette, draw: Draw) -> None:
    """Paints the teeth of one jaw with enamel, dentine and pulp.

    Args:
        frame: coordinates of the jaw, those of the head with the mouth closed.
        jaw: "upper" or "lower".
        width: factor to the arch's width.
        dentition: the teeth's states.
        palette: HU of tissues.
        draw: for positions.
    """
    half, depth, back = _ARCH[jaw]
    fine = np.linspace(0.0, 0.5 * math.pi + 0.12, 400)
    curve = np.stack([half * width * np.sin(fine), back - depth * np.cos(fine)], 1)
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    shrink = 0.985 * arc[-1] / sum(_WIDTH[jaw])
    for side in (1, -1):
        along = 0.0
        for number in range(8):
            size = _WIDTH[jaw][number] * shrink
            place = np.array([np.interp(along + size / 2, arc, curve[:, a]) for a in range(2)])
            ahead = np.array([np.interp(along + size / 2 + 1, arc, curve[:, a]) for a in range(2)]) - place
            along += size
            ahead = ahead / np.linalg.norm(ahead) * np.array([side, 1])
            place = place * np.array([side, 1]) + draw.normals(2) * 0.35
            lean, tip, rise = draw.normal(0, 3), draw.normal(0, 3), draw.normal(0, 0.5)
            state = dentition.states[jaw, side, number]
            if state != "missing":
                axes = _tooth_axes(ahead, side, jaw, _LEAN[jaw][number] + lean, tip)
                up = 1.0 if jaw == "lower" else -1.0
                neck = (*place, _EDGE[jaw] - up * (_CROWN[jaw][number] + rise))
                _paint_tooth(
                    frame, neck, axes, jaw, number, min(size, _WIDTH[jaw][number]) * 0.99, state, palette, draw
                )


def _tooth_axes(ahead: np.ndarray, side: int, jaw: str, lean: float, tip: float) -> np.ndarray:
    """Rows: along the arch, towards cheek or lip, from root to biting edge."""
    up = np.array([0.0, 0.0, 1.0 if jaw == "lower" else -1.0])
    along = np.array([ahead[0], ahead[1], 0.0])
    outward = side * np.array([ahead[1], -ahead[0], 0.0])
    axis = up + math.tan(math.radians(lean)) * outward + math.tan(math.radians(tip)) * along
    axis /= np.linalg.norm(axis)
    outward = outward - (outward @ axis) * axis
    outward /= np.linalg.norm(outward)
    return np.stack([np.cross(outward, axis), outward, axis])


def _paint_tooth(
    frame: Frame,
    neck: Sequence[float],
    axes: np.ndarray,
    jaw: str,
    number: int,
    width: float,
    state: str,
    palette: Palette,
    draw: Draw,
) -> None:
    crown, root = _CROWN[jaw][number], _ROOT[jaw][number]
    depth = _DEPTH[jaw][number]
    reach = 0.75 * max(width, depth)
    ends = np.stack([np.array(neck) - root * axes[2], np.array(neck) + crown * axes[2]])
    if state == "implant":
        frame.paint(tube([ends[0] + 3 * axes[2], np.array(neck) - 1.0 * axes[2]], [1.9, 2.2]), palette["titanium"])
    box = frame.box(ends.min(0) - reach, ends.max(0) + reach, 0.0)
    if box is None:
        return
    points = frame.points(box)
    away = [points.x - neck[0], points.y - neck[1], points.z - neck[2]]
    m, b, h = (sum((float(axes[r, a]) * away[a] for a in range(3)), torch.zeros(())) for r in range(3))
    molar = number >= 5
    up, down = (h / crown).clamp(0, 1), (-h / root).clamp(0, 1)
    flare = 0.86 + 0.14 * (1 - (2.4 * up - 1.4).clamp(min=0).square() if not molar else 1 - (2 * up - 1).square() * 0.7)
    taper = (1 - down.square() * (0.62 if molar else 0.72)) * 0.9
    wide = 0.5 * width * torch.where(h > 0, flare, taper)
    edge = (1 - 0.72 * up) if number < 3 else (1 - 0.25 * up.square())
    deep = 0.5 * depth * torch.where(h > 0, edge, taper)
    a, c = (m / wide).square(), (b / deep).square()
    norm = ((a * a + c * c).sqrt() if molar else (a + c)).sqrt()
    side = (norm - 1) * torch.minimum(wide, deep)
    top = h - crown
    if number > 2:  # cusps around a fissure
        top = top + 1.1 * (1 - (b.abs() / (0.28 * depth)).clamp(0, 1).square())
    distance = torch.maximum(side, torch.maximum(top, -root - h))
    if molar:
        fork = torch.minimum(1.6 * (down - 0.25).clamp(0, 0.5) * 4 - m.abs(), -h - 0.25 * root)
        distance = torch.maximum(distance, fork)
    dentine, enamel = palette["tooth_dentine"], palette["tooth_enamel"]
    thick = 1.7 if number > 2 else 1.1
    shell = torch.maximum(-h - 0.3, -(distance + thick * (0.35 + 0.65 * up)))
    value = dentine.hu + (enamel.hu - dentine.hu) * frame.coverage(shell)
    pulp = torch.maximum(side + 0.68 * torch.minimum(wide, deep), torch.maximum(h - 0.45 * crown, -0.92 * root - h))
    if state == "implant":
        distance, value = torch.maximum(distance, -h - 0.5), torch.full_like(h, palette["tooth_dentine"].hu + 900)
    elif state == "root-filled":
        value = value + frame.coverage(pulp) * (2600 - value)
    else:
        value = value + frame.coverage(pulp) * (60 - value) * 0.9
    frame.blend(box, frame.coverage(distance), value)
    if state == "filled":
        cavity = torch.maximum(distance + 0.4, torch.maximum(0.45 * crown - h, norm - draw.uniform(0.4, 0.75)))
        filling = palette["amalgam"] if draw.chance(0.5) else Paint(draw.uniform(1800, 3000))
        frame.blend(box, frame.coverage(cavity), filling)
    elif state == "crowned":
        cap = torch.maximum(distance - 0.1, torch.maximum(0.3 - h, -(distance + 1.0)))
        frame.blend(box, frame.coverage(cap), Paint(draw.choice((3000.0, 5000.0, 7500.0))))

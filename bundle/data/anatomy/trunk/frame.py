"""The drawn proportions of a trunk, from which all its parts derive.

Positions are first given for a reference adult of 1.75 m, in mm: x to the left, y to the back, z to the head, with
z = 0 at the sacral promontory and y = 0 midway through the lean chest. The frame maps them to the drawn body.
Levels, rib and organ positions of the reference follow anatomical textbooks (surface and vertebral levels).
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bundle.data.anatomy.shapes import Shape, column
from bundle.data.anatomy.variation import Draw

__all__ = ["Frame", "draw_frame"]

# y of the middle of the vertebral bodies (reference mm), lying on the back
_SPINE = ((-115, -85, -60, -28, 0, 50, 90, 140, 190, 250, 330, 400, 440, 475, 530, 600, 700),
          (66, 74, 70, 46, 28, 17, 15, 20, 31, 43, 51, 49, 42, 32, 18, 10, 8))  # fmt: skip
# outer surface of the rib cage: z, half-width, front and back y
_RIBS = ((90, 150, 200, 250, 300, 350, 400, 430, 455, 480),
         (124, 133, 143, 149, 148, 140, 122, 102, 74, 40),
         (-84, -90, -96, -98, -94, -84, -66, -46, -20, 15),
         (76, 82, 88, 93, 95, 93, 88, 80, 70, 55))  # fmt: skip
# surface of the lean body (muscles, no subcutaneous fat): z, half-width, front and back y
_LEAN = ((-190, -150, -95, -45, 0, 40, 90, 150, 200, 250, 300, 350, 400, 430, 455, 480, 510, 550, 610, 680),
         (150, 160, 167, 158, 146, 140, 135, 142, 151, 157, 162, 165, 166, 152, 120, 86, 64, 58, 56, 58),
         (-70, -76, -82, -88, -92, -93, -94, -97, -102, -105, -104, -98, -86, -70, -48, -36, -38, -46, -50, -66),
         (90, 98, 102, 98, 88, 82, 80, 86, 92, 97, 100, 101, 99, 97, 94, 88, 82, 76, 74, 78))  # fmt: skip
# inside of the abdominal and pelvic walls
_CAVITY = ((-135, -115, -90, -60, -30, 0, 30, 60, 100, 150, 190, 230, 290),
           (20, 42, 55, 66, 88, 106, 114, 116, 117, 123, 131, 138, 138),
           (-40, -52, -60, -68, -74, -79, -82, -84, -85, -86, -88, -88, -84),
           (72, 82, 84, 76, 62, 52, 50, 52, 56, 66, 76, 84, 86))  # fmt: skip


@dataclass(frozen=True)
class Frame:
    """One patient's proportions.

    Args:
        female: sex.
        child: whether the growth plates are open.
        scale: body height over 1.75 m.
        width: factor of widths beside ``scale``.
        depth: factor of depths beside ``scale``.
        fat_mm: typical thickness of the subcutaneous fat.
        belly_mm: by which fat inside moves the abdominal wall forward.
        muscle: factor of muscle thickness.
        breath_mm: by which the diaphragm is lower (deep inspiration) or higher.
        kyphosis: factor of the spine's curves.
        scoliosis_mm: sideways amplitude of the spine.
        scoliosis_phase: where along the spine, in radians.
        lean_side: half-width differences between right and left, as a share.
        arms: "up", "down" or "away" (not in the field).
    """

    female: bool
    child: bool
    scale: float
    width: float
    depth: float
    fat_mm: float
    belly_mm: float
    muscle: float
    breath_mm: float
    kyphosis: float
    scoliosis_mm: float
    scoliosis_phase: float
    lean_side: float
    arms: str

    def spine(self, z: float) -> tuple[float, float]:
        """Middle of the vertebral body at a reference level, (x, y) in mm of the drawn body."""
        straight = 38.0
        y = straight + (_curve(*_SPINE, z) - straight) * self.kyphosis
        x = self.scoliosis_mm * float(np.sin(z / 95 + self.scoliosis_phase) * np.exp(-(((z - 220) / 260) ** 4)))
        return x, y * self.scale * self.depth

    def at(self, x: float, y: float, z: float) -> tuple[float, float, float]:
        """Drawn position of a reference position: organs follow the spine at the back and the belly in front."""
        spine_x, spine_y = self.spine(z)
        along = min(max((y + 60) / 100, 0.0), 1.0)  # 1 at the spine, 0 at the front wall
        shift = (spine_y - _curve(*_SPINE, z) * self.scale * self.depth) * along
        forward = self.belly_at(z) * (1 - min(max((y + 85) / 110, 0.0), 1.0))
        wide = 1 + 0.5 * self.belly_at(z) / 130
        return (
            x * self.scale * self.width * wide + spine_x * (0.4 + 0.6 * along),
            y * self.scale * self.depth + shift - forward,
            z * self.scale,
        )

    def from_spine(self, x: float, y: float, z: float) -> tuple[float, float, float]:
        """Drawn position of a place given relative to the vertebral body's middle at a level (reference mm)."""
        spine_x, spine_y = self.spine(z)
        return spine_x + x * self.scale, spine_y + y * self.scale, z * self.scale

    def belly_at(self, z: float) -> float:
        """How far the front wall is moved forward at a reference level, mm."""
        return self.belly_mm * _curve((-140, -60, 0, 80, 150, 230, 300), (0, 0.3, 0.8, 1.0, 0.9, 0.4, 0.0), z)

    def ribs_at(self, z: float) -> tuple[float, float, float]:
        """Half-width, front y and back y in mm of the rib cage's outside at a reference level."""
        scale, deep = self.scale * self.width, self.scale * self.depth
        part = [_curve(_RIBS[0], row, z) for row in _RIBS[1:]]
        return part[0] * scale, part[1] * deep - 0.5 * self.belly_at(z), part[2] * deep

    def rib_cage(self) -> Shape:
        """The outside of the rib cage, closed at the top, open below."""
        return self._column(_RIBS, 2.3, belly=0.5)

    def lean_body(self) -> Shape:
        """Neck and trunk without subcutaneous fat, shoulders, arms and legs."""
        extra = (self.muscle - 1) * 18 * self.scale
        return self._column(_LEAN, 2.3, belly=1.0, extra=extra)

    def cavity(self) -> Shape:
        """The inside of the abdominal and pelvic walls; beside the liver it is inside the rib cage."""
        return self._column(_CAVITY, 2.25, belly=1.0, capped=True)

    def _column(
        self,
        table: Sequence[Sequence[float]],
        exponent: float,
        belly: float,
        extra: float = 0.0,
        capped: bool = False,
    ) -> Shape:
        levels, half, front, back = table
        scale, deep = self.scale * self.width, self.scale * self.depth
        forward = [belly * self.belly_at(z) for z in levels]
        sides = [x * scale + 0.5 * f + extra for x, f in zip(half, forward)]
        first = [y * deep - f - extra for y, f in zip(front, forward)]
        last = [y * deep + extra * 0.5 for y in back]
        middle = [0.25 * a + 0.75 * b - 30 * deep for a, b in zip(first, last)]
        middle = [min(max(m, a + 0.35 * (b - a)), a + 0.6 * (b - a)) for m, a, b in zip(middle, first, last)]
        return column(
            [z * self.scale for z in levels],
            [0.4 * self.spine(z)[0] + self.lean_side * x for z, x in zip(levels, sides)],
            middle,
            sides,
            [m - a for m, a in zip(middle, first)],
            [b - m for m, b in zip(middle, last)],
            exponent,
            capped,
        )


def draw_frame(draw: Draw, part: str) -> Frame:
    """Draws the proportions of one patient.

    Args:
        draw: gives the numbers.
        part: "chest", "abdomen" or "pelvis", which decides how the arms usually lie.
    """
    draw = draw.part("frame")
    female = draw.chance(0.48)
    child = draw.chance(0.1)
    height = draw.uniform(0.95, 1.5) if child else draw.normal(1.64 if female else 1.77, 0.075)
    scale = height / 1.75
    build = draw.normal(0.0, 1.0)  # from thin to obese
    fat = draw.log_normal(24.0 if female else 18.0, 0.3) * float(np.exp(0.5 * build))
    fat = min(max(fat, 5.0), 60.0) * (0.55 if child else 1.0)
    belly = 0.0 if child else max(draw.normal(12.0 if female else 22.0, 9.0) + 18.0 * build, -12.0)
    curved = draw.chance(0.08)
    weights = {"chest": (0.72, 0.2, 0.08), "abdomen": (0.75, 0.17, 0.08), "pelvis": (0.5, 0.3, 0.2)}[part]
    return Frame(
        female=female,
        child=child,
        scale=scale,
        width=draw.normal(0.97 if female else 1.02, 0.045) * (1 + 0.02 * build),
        depth=draw.normal(0.96 if female else 1.02, 0.06) * (1 + 0.025 * build),
        fat_mm=fat,
        belly_mm=min(belly, 85.0) * scale,
        muscle=draw.normal(0.92 if female else 1.08, 0.2),
        breath_mm=draw.normal(0.0, 14.0),
        kyphosis=draw.normal(1.0, 0.22) if not curved else draw.uniform(1.2, 1.6),
        scoliosis_mm=draw.normal(0.0, 14.0 if curved else 4.0),
        scoliosis_phase=draw.uniform(0, 6.28),
        lean_side=draw.normal(0.0, 0.012),
        arms=draw.choice(("up", "down", "away"), weights),
    )


def _curve(levels: Sequence[float], values: Sequence[float], z: float) -> float:
    """As :func:`shapes.interpolate`, for one number."""
    z = min(max(float(z), levels[0]), levels[-1])
    i = min(bisect.bisect_right(levels, z) - 1, len(levels) - 2)
    width = levels[i + 1] - levels[i]

    def secant(n: int) -> float:
        return (values[n + 1] - values[n]) / (levels[n + 1] - levels[n])

    def slope(n: int) -> float:
        if n == 0:
            return secant(0)
        if n == len(levels) - 1:
            return secant(n - 1)
        before, after = levels[n] - levels[n - 1], levels[n + 1] - levels[n]
        return (secant(n) * before + secant(n - 1) * after) / (before + after)

    t = (z - levels[i]) / width
    s = 1 - t
    return (
        s * s * (1 + 2 * t) * values[i]
        + s * s * t * width * slope(i)
        + t * t * (3 - 2 * t) * values[i + 1]
        - t * t * s * width * slope(i + 1)
    )

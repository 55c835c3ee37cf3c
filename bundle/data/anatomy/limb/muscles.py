"""Outline and muscles of the leg, in the coordinates of ``limb_bones``.

Positions and sizes are those of a medium adult as axial sections in atlases of anatomy show them, estimated by eye.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bundle.data.anatomy.muscles import Muscle
from bundle.data.anatomy.shapes import Points, Shape, column, interpolate
from bundle.data.anatomy.variation import Draw

__all__ = ["LEVELS", "MUSCLES", "fascia", "half_width", "skin_outline"]

LEVELS = (-400, -350, -300, -240, -170, -110, -75, -45, -18, 10, 38, 70, 110, 170, 250, 330, 420)
_CENTRE = (0, 0, 1, 2, 3, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
_SIDE = (29, 28, 34, 44, 53, 55, 52, 48, 46, 46, 48, 52, 58, 67, 74, 80, 86)
_FRONT = (24, 20, 20, 22, 25, 28, 32, 37, 43, 50, 56, 52, 54, 60, 66, 72, 76)
_BACK = (30, 32, 40, 52, 66, 68, 62, 54, 49, 47, 47, 50, 56, 64, 72, 80, 88)
# subcutaneous fat as a share of the thickest, in front and behind
_FAT_FRONT = (0.25, 0.2, 0.22, 0.25, 0.25, 0.25, 0.25, 0.25, 0.3, 0.3, 0.25, 0.4, 0.55, 0.75, 0.9, 1.0, 1.0)
_FAT_SIDE = (0.3, 0.3, 0.4, 0.5, 0.6, 0.6, 0.55, 0.5, 0.5, 0.55, 0.6, 0.65, 0.75, 0.85, 0.95, 1.0, 1.1)
_FAT_BACK = (0.3, 0.3, 0.4, 0.5, 0.55, 0.55, 0.5, 0.45, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1)

MUSCLES: dict[str, Muscle] = {
    # thigh
    "rectus femoris": Muscle((85, 120, 170, 330, 420), (4, 4, 3, 4, 6), (-44, -48, -52, -60, -64),
                             (-2, 10, 17, 20, 16), 0.6),
    "vastus lateralis": Muscle((25, 55, 100, 170, 330, 420), (30, 36, 39, 42, 46, 48), (-30, -26, -24, -22, -20, -16),
                               (-2, 10, 21, 28, 28, 20), 0.62, 62),
    "vastus medialis": Muscle((20, 45, 80, 130, 220, 330, 400), (-32, -35, -37, -35, -30, -24, -20),
                              (-26, -22, -21, -24, -30, -34, -34), (-2, 12, 21, 21, 18, 12, -2), 0.66, -60),
    "vastus intermedius": Muscle((50, 90, 170, 330, 400), (4, 4, 8, 10, 12), (-26, -26, -32, -34, -32),
                                 (-2, 17, 26, 26, -2), 0.45, 12),
    "sartorius": Muscle((-40, 0, 60, 140, 240, 330, 420), (-36, -43, -49, -53, -50, -38, -22),
                        (14, 25, 26, 14, -12, -42, -62), (-2, 6, 11, 13, 13, 13, 12), 0.5, -60),
    "gracilis": Muscle((-30, 10, 70, 150, 300, 420), (-34, -40, -46, -54, -62, -58), (20, 34, 38, 36, 26, 14),
                       (-2, 4, 7, 11, 14, 12), 0.5, 75),
    "semimembranosus": Muscle((-14, 10, 50, 100, 200, 300), (-28, -26, -24, -22, -20, -10), (30, 34, 36, 40, 52, 60),
                              (-2, 12, 19, 21, 15, -2), 0.75, 20),
    "semitendinosus": Muscle((-10, 30, 80, 150, 250, 400), (-32, -30, -22, -14, -8, 0), (42, 47, 54, 62, 66, 66),
                             (-2, 4, 8, 15, 18, 12), 0.75),
    "biceps femoris": Muscle((-22, 0, 40, 90, 170, 280, 400), (36, 38, 35, 30, 24, 16, 8), (22, 27, 34, 42, 52, 60, 64),
                             (-2, 8, 14, 18, 21, 18, 10), 0.75, -45),
    "biceps femoris, short head": Muscle((25, 70, 110, 180, 270), (30, 26, 20, 16, 12), (24, 26, 24, 22, 16),
                                         (-2, 10, 15, 14, -2), 0.8, -30),
    "adductor magnus": Muscle((60, 110, 180, 280, 420), (-28, -32, -28, -28, -30), (12, 14, 22, 26, 26),
                              (-2, 11, 25, 34, 36), 0.62, 28),
    "adductor longus": Muscle((150, 220, 300, 420), (-30, -34, -38, -36), (0, -4, -10, -18), (-2, 15, 22, 20), 0.6, 20),
    # calf
    "gastrocnemius medialis": Muscle((-220, -180, -120, -60, -10, 25), (-18, -23, -25, -23, -20, -20),
                                     (46, 50, 48, 44, 40, 34), (-2, 20, 25, 22, 16, -2), 0.58, -22),
    "gastrocnemius lateralis": Muscle((-200, -165, -110, -60, -10, 25), (18, 21, 23, 21, 20, 20),
                                      (46, 48, 46, 43, 40, 32), (-2, 16, 22, 20, 14, -2), 0.6, 22),
    "soleus": Muscle((-360, -300, -220, -130, -80, -40), (0, 0, 0, 4, 10, 24), (24, 28, 34, 34, 32, 24),
                     (-2, 22, 36, 38, 26, -2), 0.42),
    "popliteus": Muscle((-90, -55, -25, -5), (-8, -4, 4, 20), (20, 27, 30, 28), (-2, 22, 20, -2), 0.36, -8),
    "tibialis posterior": Muscle((-360, -280, -180, -90, -60), (2, 8, 14, 16, 16), (14, 13, 14, 17, 18),
                                 (-2, 8, 12, 11, -2), 0.8),
    "flexor digitorum": Muscle((-380, -280, -180, -100), (-10, -12, -14, -12), (16, 18, 17, 16), (4, 9, 10, -2), 0.6),
    "flexor hallucis": Muscle((-380, -280, -200, -130), (8, 16, 22, 26), (22, 22, 24, 24), (8, 12, 12, -2), 0.7),
    "tibialis anterior": Muscle((-380, -290, -180, -100, -45, -22), (2, 8, 15, 18, 19, 20),
                                (-14, -13, -11, -9, -11, -14), (-2, 8, 15, 15, 9, -2), 0.75, 70),
    "extensor digitorum": Muscle((-380, -280, -170, -90, -40), (14, 22, 28, 31, 33), (-10, -6, -2, 0, 0),
                                 (3, 9, 10, 9, -2), 0.65, 80),
    "peroneus": Muscle((-390, -280, -170, -90, -40), (32, 37, 42, 43, 40), (16, 12, 9, 8, 8), (3, 9, 12, 11, -2),
                       0.65, 80),
}  # fmt: skip


def fascia(draw: Draw, girth: float) -> Shape:
    """The sheath around all muscles and the knee; ``girth`` scales it away from the joint."""
    near = [min(abs(z) / 110, 1.0) for z in LEVELS]
    factor = [1 + (girth - 1) * n for n in near]
    tilt = draw.normal(0.0, 2.0)
    round_leg = column(
        LEVELS,
        [c + tilt * z / 200 for c, z in zip(_CENTRE, LEVELS)],
        [0.0] * len(LEVELS),
        [r * f for r, f in zip(_SIDE, factor)],
        [r * f for r, f in zip(_FRONT, factor)],
        [r * f for r, f in zip(_BACK, factor)],
        exponent=2.15,
        capped=False,
    )
    return _flattened(round_leg, 18.5)


def skin_outline(draw: Draw, girth: float, fat_mm: float) -> Shape:
    """The skin; ``fat_mm`` is the subcutaneous fat's thickness where it is thickest."""
    near = [min(abs(z) / 110, 1.0) for z in LEVELS]
    factor = [1 + (girth - 1) * n for n in near]
    front, side, back = (draw.normal(1.0, 0.15) * fat_mm for _ in range(3))
    shift = draw.normal(-0.12, 0.1) * fat_mm
    round_leg = column(
        LEVELS,
        [shift * s + c for s, c in zip(_FAT_SIDE, _CENTRE)],
        [0.0] * len(LEVELS),
        [r * f + 2.5 + side * s for r, f, s in zip(_SIDE, factor, _FAT_SIDE)],
        [r * f + 2.5 + front * s for r, f, s in zip(_FRONT, factor, _FAT_FRONT)],
        [r * f + 2.5 + back * s for r, f, s in zip(_BACK, factor, _FAT_BACK)],
        exponent=2.1,
        capped=False,
    )
    return _flattened(round_leg, 22.5 + 0.35 * fat_mm)


def half_width(z: float, girth: float, fat_mm: float) -> float:
    """Distance in mm from the axis to the middle of the subcutaneous fat at the side of the leg."""
    at = torch.tensor([z], dtype=torch.float64)
    factor = 1 + (girth - 1) * min(abs(z) / 110, 1.0)
    return (
        float(interpolate(LEVELS, _SIDE, at)) * factor + 0.45 * fat_mm * float(interpolate(LEVELS, _FAT_SIDE, at)) + 1
    )


def _flattened(leg: Shape, depth: float) -> Shape:
    """Flattens the lower leg where the tibia lies under the skin, ``depth`` mm from the axis."""
    levels = (-400, -350, -280, -70, -25, 10)
    heights = (depth + 4, depth + 2, depth, depth + 1, depth + 12, depth + 60)

    def distance(points: Points) -> Tensor:
        face = -0.82 * points.x - 0.57 * points.y - interpolate(levels, heights, points.level)
        around = leg.distance(points)
        h = (24.0 - (around - face).abs()).clamp(min=0)
        return torch.maximum(around, face) + h * h * (0.25 / 24.0)

    return Shape(distance, leg.low, leg.high)

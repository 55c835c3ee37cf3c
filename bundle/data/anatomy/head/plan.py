"""What is drawn once for a whole head.

Head coordinates in mm: the origin lies midway between the ear canals, x points to the left, y to the back, z up, and
the Frankfurt plane (lower rims of the orbits and ear canals) is z = 0. All positions are those of a medium adult, whose
cranium is 187 mm long and 146 mm wide and whose face is 118 mm high (about the means of Farkas 1994, Anthropometry of
the Head and Face); the frame's scale makes other sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

from bundle.data.anatomy.canvas import Paint
from bundle.data.anatomy.tissues import Palette
from bundle.data.anatomy.variation import Draw
from bundle.fixed_tuples import triple

__all__ = ["HINGE", "HeadPlan", "draw_plan", "faded"]

HINGE = (0.0, -12.0, -6.0)  # the axis through the heads of the mandible


@dataclass(frozen=True)
class HeadPlan:
    """Size, build and condition of one head.

    Args:
        child: no frontal sinus, few mastoid cells, fewer teeth.
        scale: size relative to a medium adult, (x, y, z).
        vault: factors to the cranium's width, length and height.
        jaw: factor to the width of the jaws.
        fat_mm: of cheeks and neck.
        skin_mm: thickness of the skin.
        skull_mm: mean thickness of the cranial vault.
        atrophy: 0 for a young brain, 1 for one with wide ventricles and sulci.
        open_degrees: by which the mouth is open.
        pneumatised: how far sinuses and mastoids are filled with air, 0 to 1.
        bulk: of the muscles.
    """

    child: bool
    scale: tuple[float, float, float]
    vault: tuple[float, float, float]
    jaw: float
    fat_mm: float
    skin_mm: float
    skull_mm: float
    atrophy: float
    open_degrees: float
    pneumatised: float
    bulk: float


def draw_plan(draw: Draw) -> HeadPlan:
    """Draws a head from child to old age."""
    child = draw.chance(0.12)
    size = draw.uniform(0.8, 0.92) if child else draw.normal(1.0, 0.04)
    grown = draw.uniform(1.03, 1.1) if child else 1.0
    return HeadPlan(
        child=child,
        scale=triple(size * draw.normal(1.0, 0.025) for _ in range(3)),
        vault=triple(grown * draw.normal(1.0, 0.025) for _ in range(3)),
        jaw=draw.normal(1.0, 0.04),
        fat_mm=min(draw.log_normal(5.5, 0.45), 18.0),
        skin_mm=draw.uniform(1.5, 2.3),
        skull_mm=draw.uniform(3.0, 4.5) if child else draw.normal(6.7, 1.2, 2.0),
        atrophy=0.0 if child else draw.uniform(0.0, 1.0) ** 1.5,
        open_degrees=draw.uniform(4.0, 15.0) if draw.chance(0.3) else draw.uniform(0.0, 2.5),
        pneumatised=draw.uniform(0.2, 0.7) if child else draw.uniform(0.45, 1.0),
        bulk=draw.normal(1.0, 0.07),
    )


def faded(palette: Palette, name: str, by_hu: float) -> Paint:
    """A paint of the palette with its mean shifted."""
    paint = palette[name]
    return Paint(paint.hu + by_hu, paint.texture, paint.kind)

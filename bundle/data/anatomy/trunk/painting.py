"""The trunk from neck to thighs: chest, abdomen and pelvis are windows of one body."""

from __future__ import annotations

from bundle.data.anatomy.canvas import Canvas
from bundle.data.anatomy.texture import add_textures
from bundle.data.anatomy.tissues import PHASES, draw_palette
from bundle.data.anatomy.trunk.abdomen import paint_abdominal_cavity, paint_abdominal_organs
from bundle.data.anatomy.trunk.body import paint_body
from bundle.data.anatomy.trunk.bowel import paint_bowel
from bundle.data.anatomy.trunk.frame import Frame, draw_frame
from bundle.data.anatomy.trunk.hips import paint_pelvic_bones
from bundle.data.anatomy.trunk.mediastinum import paint_great_vessels
from bundle.data.anatomy.trunk.metal import paint_metal
from bundle.data.anatomy.trunk.pelvis import paint_pelvic_organs
from bundle.data.anatomy.trunk.skeleton import (
    paint_shoulders,
    paint_spine,
    paint_thorax_bones,
)
from bundle.data.anatomy.trunk.thorax import (
    draw_thorax,
    paint_heart,
    paint_lungs,
    paint_thoracic_cavity,
)
from bundle.data.anatomy.variation import Draw

__all__ = ["paint_abdomen", "paint_chest", "paint_pelvis", "paint_trunk"]

_LOOKS_AT = {"chest": 322.0, "abdomen": 135.0, "pelvis": -45.0}  # z in reference mm
_PHASE_WEIGHTS = {"chest": (0.4, 0.35, 0.15, 0.1), "abdomen": (0.25, 0.15, 0.5, 0.1), "pelvis": (0.35, 0.1, 0.45, 0.1)}


def paint_chest(canvas: Canvas, draw: Draw) -> None:
    """Paints a random chest in the middle of the canvas."""
    paint_trunk(canvas, draw, "chest")


def paint_abdomen(canvas: Canvas, draw: Draw) -> None:
    """Paints a random abdomen in the middle of the canvas."""
    paint_trunk(canvas, draw, "abdomen")


def paint_pelvis(canvas: Canvas, draw: Draw) -> None:
    """Paints a random pelvis in the middle of the canvas."""
    paint_trunk(canvas, draw, "pelvis")


def paint_trunk(canvas: Canvas, draw: Draw, part: str, centre_mm: tuple[float, float, float] | None = None) -> Frame:
    """Paints a trunk.

    Args:
        canvas: an unpainted grid.
        draw: gives all parameters.
        part: "chest", "abdomen" or "pelvis": where the canvas looks, and what is usual there.
        centre_mm: body coordinates that the canvas looks at instead.

    Returns:
        The proportions drawn.
    """
    frame = draw_frame(draw, part)
    pose = draw.part("pose")
    phase = pose.choice(PHASES, _PHASE_WEIGHTS[part])
    looked = (pose.normal(0, 8), 5 - 0.5 * frame.belly_mm + pose.normal(0, 10), 0.0)
    height = _LOOKS_AT[part] * frame.scale + pose.normal(0, 18)
    canvas.place(centre_mm or (looked[0], looked[1], height), pose.normal(0.0, 1.8))
    canvas.displace(pose, (4.0 * frame.scale, 1.2 * frame.scale), (75.0, 24.0))
    add_textures(canvas, draw.part("texture"))
    palette = draw_palette(draw, phase)
    thorax = draw_thorax(frame, draw)
    paint_body(canvas, frame, palette, draw)
    paint_shoulders(canvas, frame, palette, draw)
    paint_abdominal_cavity(canvas, frame, thorax, palette, draw)
    paint_thoracic_cavity(canvas, frame, thorax, palette)
    paint_lungs(canvas, frame, thorax, palette, draw)
    paint_abdominal_organs(canvas, frame, thorax, palette, draw)
    paint_bowel(canvas, frame, palette, draw)
    paint_pelvic_organs(canvas, frame, palette, draw)
    paint_heart(canvas, frame, thorax, palette, draw)
    paint_great_vessels(canvas, frame, thorax, palette, draw)
    paint_spine(canvas, frame, palette, draw)
    paint_thorax_bones(canvas, frame, palette, draw)
    paint_pelvic_bones(canvas, frame, palette, draw)
    paint_metal(canvas, frame, thorax, palette, draw)
    return frame

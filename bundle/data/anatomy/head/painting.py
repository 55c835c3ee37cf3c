"""Heads and necks, as body scanners and dental cone-beam scanners show them."""

from __future__ import annotations

import numpy as np
import torch

from bundle.data.anatomy.canvas import Canvas
from bundle.data.anatomy.frame import Bend, Frame
from bundle.data.anatomy.head.brain import paint_brain
from bundle.data.anatomy.head.face import (
    paint_face_bones,
    paint_face_soft,
    paint_nose_and_sinuses,
    paint_orbits,
)
from bundle.data.anatomy.head.jaws import jaw_frame, paint_mandible, paint_mouth
from bundle.data.anatomy.head.neck import paint_airway, paint_neck_organs, paint_shoulders, paint_spine
from bundle.data.anatomy.head.outline import paint_outline
from bundle.data.anatomy.head.plan import draw_plan
from bundle.data.anatomy.head.rest import paint_head_rest
from bundle.data.anatomy.head.skull import cranial_cavity, paint_base, paint_base_air, paint_ear_implant, paint_vault
from bundle.data.anatomy.head.teeth import draw_dentition, paint_teeth
from bundle.data.anatomy.shapes import rotation
from bundle.data.anatomy.texture import add_textures
from bundle.data.anatomy.tissues import draw_palette
from bundle.data.anatomy.variation import Draw
from bundle.fixed_tuples import triple

__all__ = ["paint_head"]

_DENTAL_MM = 210.0  # narrower fields are those of dental scanners, and look at the jaws


def paint_head(canvas: Canvas, draw: Draw) -> None:
    """Paints a head with its neck in a wide field, or the jaws in a field narrower than 210 mm.

    The patient lies on the back (face to -y) and is tilted, nods and rolls a little.

    Args:
        canvas: an empty grid of any size.
        draw: gives all random numbers.
    """
    scene = draw.part("scene")
    palette = draw_palette(draw, scene.choice(("native", "arterial", "portal", "late"), (0.6, 0.12, 0.22, 0.06)))
    plan = draw_plan(draw.part("plan"))
    dentition = draw_dentition(draw.part("dentition"), plan.child)
    canvas.place((0.0, 0.0, 0.0), scene.normal(0.0, 5.0))
    fine = draw.part("displace")
    canvas.displace(fine, (fine.uniform(1.2, 2.8), fine.uniform(0.5, 1.1), fine.uniform(0.35, 0.75)), (100, 38, 14))
    add_textures(canvas, draw.part("texture"))
    nod, lean = scene.normal(0.0, 7.0), scene.normal(0.0, 3.0)
    turned = rotation(nod, lean, 0.0)
    width = min(n * v for n, v in zip(canvas.shape[:2], canvas.voxel_mm))
    if width < _DENTAL_MM:
        middle = (scene.normal(0, 4), scene.normal(-48, 7), scene.normal(-56, 9))
    else:
        middle = (scene.normal(0, 6), scene.normal(0, 14), scene.uniform(-75, 40))
    middle = triple(m * s for m, s in zip(middle, plan.scale))
    origin = [-sum(turned[a][b] * middle[b] for b in range(3)) for a in range(3)]
    back, aside = scene.normal(0.0, 12.0), scene.normal(0.0, 5.0)
    bend = Bend(
        (-260, -160, -100, -50, 0), (aside, 0.6 * aside, 0.2 * aside, 0, 0), (back, 0.6 * back, 0.2 * back, 0, 0)
    )
    frame = Frame(canvas, origin, turned, plan.scale, bend)
    paint_outline(frame, plan, palette, draw.part("outline"))
    if "head" not in frame.regions:
        return
    paint_face_soft(frame, plan, palette, draw.part("soft"))
    paint_neck_organs(frame, plan, palette, draw.part("organs"))
    paint_shoulders(frame, plan, palette, draw.part("shoulders"))
    paint_spine(frame, plan, palette, draw.part("spine"))
    paint_airway(frame, plan, palette, draw.part("airway"))
    paint_mouth(frame, plan, draw.part("mouth"))
    cranium = cranial_cavity(frame, plan)
    paint_base(frame, plan, palette, draw.part("base"))
    if cranium is not None:
        cavity = torch.zeros(frame.shape, device=frame.device)
        cavity[cranium.box] = frame.coverage(cranium.inner + 0.5)
        frame.regions["cavity"] = cavity
        paint_vault(frame, cranium, plan, palette, draw.part("vault"))
    paint_face_bones(frame, plan, palette, draw.part("bones"))
    paint_orbits(frame, plan, palette, draw.part("orbits"))
    paint_nose_and_sinuses(frame, plan, palette, draw.part("nose"))
    if cranium is not None:
        paint_brain(frame, cranium, plan, palette, draw.part("brain"))
    paint_base_air(frame, plan, palette, draw.part("ear"))
    paint_teeth(frame, "upper", plan.jaw, dentition, palette, draw.part("upper"))
    paint_mandible(jaw_frame(frame, plan), plan, dentition, palette, draw.part("lower"))
    if draw.part("ear implant").chance(0.02):
        paint_ear_implant(frame, palette, draw.part("ear implant"))
    # the back of the head, where the frame puts it
    reach = 83 * plan.vault[1] + plan.skull_mm + 4.0 + 0.4 * plan.fat_mm
    back_of_head = float(frame.to_canvas(np.array([[0.0, reach, 40.0]]))[0, 1])
    canvas.support_mm = back_of_head + scene.uniform(3.0, 40.0)
    if canvas.with_surroundings and width >= _DENTAL_MM and scene.chance(0.6):
        level = origin[2] - scene.uniform(60, 110)
        paint_head_rest(canvas, back_of_head, level, palette, draw.part("rest"))
        canvas.support_mm = back_of_head + scene.uniform(30.0, 50.0)

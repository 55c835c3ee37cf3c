"""What is added to a real CT: lesions where its HU allow them, calcifications, metal and tubes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bundle.data.anatomy.canvas import Box, Canvas, Paint
from bundle.data.anatomy.shapes import ellipsoid, rotation, tube
from bundle.data.anatomy.tissues import PHASES, Palette, draw_palette
from bundle.data.anatomy.variation import Draw, lattice_field
from bundle.data.anatomy.vessels import Tubes, paint_tubes

__all__ = ["add_inserts", "places_in"]

Place = tuple[float, float, float]
_LUNG, _SOFT, _BONE, _BODY = (-960.0, -600.0), (-10.0, 130.0), (250.0, 2500.0), (-200.0, 2500.0)
_TRIES = 4096


def add_inserts(canvas: Canvas, draw: Draw, rate: float = 1.0) -> None:
    """Adds what is drawn of lesions, calcifications, metal and tubes to the HU of a canvas.

    Args:
        canvas: with the CT as its ``hu``.
        draw: gives the numbers.
        rate: factor to every probability; 0 adds nothing.
    """
    palette = draw_palette(draw, draw.choice(PHASES))
    for name, probability, add in (
        ("nodules", 0.35, _nodules),
        ("consolidation", 0.15, _consolidation),
        ("masses", 0.35, _masses),
        ("calcifications", 0.2, _calcifications),
        ("bone", 0.15, _bone_lesions),
        ("metal", 0.12, _metal),
        ("tubes", 0.15, _tubes),
    ):
        own = draw.part(name)
        if own.chance(min(rate * probability, 1.0)):
            add(canvas, palette, own)


def places_in(canvas: Canvas, hu_range: Sequence[float], count: int, draw: Draw, depth_mm: float = 0.0) -> list[Place]:
    """Random places whose HU lie in a range, and so do those of the six places around them.

    Args:
        canvas: with the CT as its ``hu``.
        hu_range: lowest and highest HU.
        count: of places.
        draw: gives the numbers.
        depth_mm: how far the places around are away.

    Returns:
        At most ``count`` places (x, y, z) in mm from the grid's centre; fewer where few voxels suit.
    """
    shape = np.array(canvas.shape)
    tried = (draw.generator.random((_TRIES, 3)) * shape).astype(np.int64)
    steps = np.rint(depth_mm / np.array(canvas.voxel_mm)).astype(np.int64)
    around = [np.zeros(3, np.int64)]
    around += [sign * step for step in np.diag(steps) if step.any() for sign in (-1, 1)]
    fits = torch.ones(_TRIES, dtype=torch.bool, device=canvas.device)
    for offset in around:
        x, y, z = torch.from_numpy(np.clip(tried + offset, 0, shape - 1)).to(canvas.device).unbind(1)
        found = canvas.hu[x, y, z]
        fits &= (found > hu_range[0]) & (found < hu_range[1])
    chosen = tried[fits.cpu().numpy()][:count]
    return [tuple(row) for row in ((chosen - (shape - 1) / 2) * np.array(canvas.voxel_mm)).tolist()]


def _lesion(canvas: Canvas, place: Place, radius: float, draw: Draw, rough: float = 0.25) -> tuple[Box, Tensor] | None:
    """A lobulated, turned ellipsoid: the voxels that it touches, and its signed distance there in mm."""
    radii = [radius * draw.log_normal(1.0, 0.2) for _ in range(3)]
    turned = rotation(draw.uniform(-90, 90), draw.uniform(-90, 90), draw.uniform(-90, 90))
    shape, key = ellipsoid(place, radii, turned), draw.key()
    box = canvas.box(shape.low, shape.high, rough * radius + canvas.blur_mm)
    if box is None:
        return None
    distance = shape.distance(canvas.points(box))
    if rough > 0:
        axes = [axis[part] for axis, part in zip(canvas.axes, box)]
        distance = distance + rough * radius * lattice_field(axes, max(0.6 * radius, 2.0), key)
    return box, distance


def _below(hu: Tensor, limit: float, width: float = 150.0) -> Tensor:
    """How far HU lie below a limit, from 0 to 1."""
    return ((limit - hu) * (1 / width)).clamp(0, 1)


def _nodules(canvas: Canvas, palette: Palette, draw: Draw) -> None:
    count = draw.integer(1, 5)
    for place in places_in(canvas, _LUNG, count, draw, depth_mm=4.0):
        found = _lesion(canvas, place, draw.log_uniform(2.5, 13.0), draw, draw.uniform(0.05, 0.35))
        paint = palette["calcification" if draw.chance(0.12) else "tumour"]
        share = draw.uniform(0.25, 0.6) if draw.chance(0.2) else 1.0  # ground glass, or solid
        if found is not None:
            box, distance = found
            canvas.blend(box, share * canvas.coverage(distance) * _below(canvas.hu[box], 0.0), paint)


def _consolidation(canvas: Canvas, palette: Palette, draw: Draw) -> None:
    for place in places_in(canvas, _LUNG, draw.integer(1, 2), draw):
        radius, strength = draw.uniform(12, 55), draw.uniform(0.2, 0.95)
        found = _lesion(canvas, place, radius, draw, 0.35)
        if found is not None:
            box, distance = found
            share = (0.5 - distance / (0.5 * radius)).clamp(0, 1) * strength
            canvas.blend(box, share * _below(canvas.hu[box], -200.0), palette["consolidation"])


def _masses(canvas: Canvas, palette: Palette, draw: Draw) -> None:
    """Cysts, and lesions that take up more or less contrast medium than what is around them."""
    for place in places_in(canvas, _SOFT, draw.integer(1, 5), draw, depth_mm=5.0):
        found = _lesion(canvas, place, draw.log_uniform(4.0, 32.0), draw, draw.uniform(0.0, 0.3))
        kind = draw.choice(("cyst", "tumour", "enhanced", "dark"), (0.3, 0.3, 0.2, 0.2))
        change = {"enhanced": draw.uniform(25, 110), "dark": -draw.uniform(15, 50)}.get(kind)
        if found is None:
            continue
        box, distance = found
        here = canvas.hu[box]
        # held to soft tissue: neither bone nor air nor fat is replaced
        cover = canvas.coverage(distance) * _below(here, 260.0) * _below(-here, 90.0, 60.0)
        canvas.blend(box, cover, palette[kind] if change is None else here + change)


def _calcifications(canvas: Canvas, palette: Palette, draw: Draw) -> None:
    for place in places_in(canvas, _SOFT, draw.integer(2, 12), draw):
        found = _lesion(canvas, place, draw.log_uniform(1.0, 4.0), draw)
        if found is not None:
            canvas.blend(found[0], canvas.coverage(found[1]), Paint(palette["calcification"].hu))


def _bone_lesions(canvas: Canvas, palette: Palette, draw: Draw) -> None:
    """Lytic ones are soft tissue, sclerotic ones as dense as the cortex."""
    for place in places_in(canvas, _BONE, draw.integer(1, 4), draw):
        found = _lesion(canvas, place, draw.log_uniform(3.0, 14.0), draw)
        paint = palette[draw.choice(("tumour", "thin_cortex"))]
        if found is not None:
            box, distance = found
            in_bone = _below(-canvas.hu[box], -120.0, 100.0)
            canvas.blend(box, canvas.coverage(distance) * in_bone, paint)


def _metal(canvas: Canvas, palette: Palette, draw: Draw) -> None:
    """Clips, screws and rods, in bone where there is some."""
    count, metal = draw.integer(1, 6), palette[draw.choice(("titanium", "steel"))]
    places = places_in(canvas, _BONE, count, draw) or places_in(canvas, _BODY, count, draw, 8.0)
    kind = draw.choice(("clips", "screws", "rods"), (0.4, 0.45, 0.15))
    radius, length = {"clips": ((0.5, 1.2), (3, 8)), "screws": ((1.5, 3.0), (15, 55)), "rods": ((2.5, 8), (60, 180))}[
        kind
    ]
    r, half = draw.uniform(*radius), draw.uniform(*length) / 2
    for place in places:
        direction = draw.normals(3)
        direction = half * direction / np.linalg.norm(direction)
        ends = [tuple(np.array(place) - direction), tuple(np.array(place) + direction)]
        canvas.paint(tube(ends, (r, r)), metal)


def _tubes(canvas: Canvas, palette: Palette, draw: Draw) -> None:
    """Catheters and drains: a wandering line from a place in the body, with its lumen, or a wire inside."""
    places = places_in(canvas, _BODY, draw.integer(1, 2), draw, 6.0)
    outer = draw.uniform(1.0, 4.0)
    for place in places:
        step, corners = draw.normals(3) * (8.0, 5.0, 10.0), [np.array(place)]
        for _ in range(draw.integer(8, 30)):
            step = 0.9 * step + 0.35 * draw.normals(3) * (8.0, 5.0, 10.0)
            corners.append(corners[-1] + step)
        paint_tubes(canvas, Tubes.polyline(corners, outer), Paint(draw.uniform(60, 500)))
        inside = palette[draw.choice(("bile", "air", "steel"), (0.6, 0.25, 0.15))]
        paint_tubes(canvas, Tubes.polyline(corners, 0.4 * outer), inside)

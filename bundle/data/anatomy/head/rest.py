"""The holder that a head lies in."""

from __future__ import annotations

import torch

from bundle.data.anatomy.canvas import Canvas
from bundle.data.anatomy.tissues import Palette
from bundle.data.anatomy.variation import Draw
from bundle.fixed_tuples import triple

__all__ = ["paint_head_rest"]


def paint_head_rest(canvas: Canvas, back_mm: float, level_mm: float, palette: Palette, draw: Draw) -> None:
    """Paints a trough of foam in a thin shell behind the head, in air only.

    Args:
        canvas: with the head painted.
        back_mm: y of the back of the head on the grid, in mm from its centre.
        level_mm: z of the lower end of the trough, likewise.
        palette: HU of materials.
        draw: for its shape.
    """
    radius = draw.uniform(95, 130)
    foam, shell = draw.uniform(8, 25), draw.uniform(1.5, 4.0)
    length = draw.uniform(150, 260)
    rises = draw.uniform(0.25, 0.75)  # how far its sides reach up beside the head
    wall = palette[draw.choice(("carbon_fibre", "plastic"))]
    reach = radius + foam + shell
    middle = back_mm + 2.0 - radius
    x, y, z = ((torch.arange(n, device=canvas.device) - (n - 1) / 2) * v for n, v in zip(canvas.shape, canvas.voxel_mm))
    inside_x, inside_y = x.abs() < reach + 2, (y > middle - 10) & (y < middle + reach + 2)
    inside_z = (z > level_mm) & (z < level_mm + length)
    ranges = [_range(chosen) for chosen in (inside_x, inside_y, inside_z)]
    parts = [part for part in ranges if part is not None]
    if len(parts) < len(ranges):
        return
    box = triple(parts)
    away = (x[box[0]][:, None].square() + (y[box[1]][None, :] - middle).square()).sqrt()
    open_side = middle + radius * (1 - 1.2 * rises) - y[box[1]][None, :]
    bed = canvas.coverage(torch.maximum(torch.maximum(radius - away, away - radius - foam), open_side))
    hull = canvas.coverage(torch.maximum(torch.maximum(radius + foam - away, away - reach), open_side))
    free = ((-700.0 - canvas.hu[box]) / 250.0).clamp(0, 1)  # what is still air
    canvas.blend(box, bed[..., None] * free, palette["foam"])
    canvas.blend(box, hull[..., None] * free, wall)


def _range(chosen: torch.Tensor) -> slice | None:
    places = torch.nonzero(chosen).reshape(-1)
    return None if len(places) == 0 else slice(int(places[0]), int(places[-1]) + 1)

"""What CT shows around a patient: couch, blankets, cables, and fields that cut the body."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bundle.data.anatomy.canvas import AIR_HU, Canvas, Paint
from bundle.data.anatomy.tissues import MATERIALS
from bundle.data.anatomy.variation import Draw, lattice_field
from bundle.data.anatomy.vessels import Tubes, paint_tubes

__all__ = ["add_surroundings", "cut_field", "paint_blanket", "paint_cables", "paint_couch"]


def add_surroundings(canvas: Canvas, draw: Draw, anatomy: str) -> None:
    """Adds what is drawn of couch, blanket, cables and cut fields to a painted body.

    Args:
        canvas: painted; its region ``body`` and ``support_mm`` are used where a painter left them.
        draw: gives the numbers.
        anatomy: the name, for what is usual there.
    """
    outside = 1 - canvas.regions["body"] if "body" in canvas.regions else (canvas.hu < -700).float()
    trunk = anatomy in ("chest", "abdomen", "pelvis")
    if draw.chance(0.75 if trunk else 0.5):
        paint_couch(canvas, draw.part("couch"), outside)
    if draw.chance(0.5) and "body_depth" in canvas.regions:
        paint_blanket(canvas, draw.part("blanket"), outside)
    if draw.chance(0.2 if trunk else 0.05):
        paint_cables(canvas, draw.part("cables"), outside)
    if draw.chance(0.22):
        cut_field(canvas, draw.part("field"))


def _material(name: str, draw: Draw) -> Paint:
    material = MATERIALS[name]
    return Paint(max(draw.normal(material.hu, material.between), AIR_HU), material.within, material.kind)


def paint_couch(canvas: Canvas, draw: Draw, outside: Tensor) -> None:
    """Paints a couch: a shell filled with foam, a mattress on it, and now and then rails and beams below.

    Its top is a trough or flat. The shell is a crescent that ends in thin edges, a box, or a rounded slab.

    Args:
        canvas: the grid.
        draw: gives the numbers.
        outside: [X, Y, Z] share of each voxel that is not body.
    """
    support = canvas.support_mm
    if support is None:
        inside = torch.nonzero((outside < 0.5).sum(dim=(0, 2)))
        if not len(inside):
            return
        support = float(canvas.axes[1][int(inside.max())])
    kind = draw.choice(("crescent", "box", "slab"), (0.5, 0.25, 0.25))
    curve = {"crescent": draw.log_uniform(350, 1500), "box": draw.log_uniform(350, 3000), "slab": 1e5}[kind]
    half = draw.uniform(190, 265)
    mattress = draw.choice((0.0, draw.uniform(5, 30)))
    deep, wall = draw.uniform(25, 75), draw.uniform(1.2, 3.5)
    bottom_curve = curve * draw.uniform(0.5, 1.5) * draw.choice((1.0, -1.7))
    x = canvas.axes[0][:, None, None] - canvas.centre_mm[0] - draw.normal(0, 12)
    y = canvas.axes[1][None, :, None] - (support + draw.uniform(0.0, 3.0))
    top = -x * x / (2 * curve)
    steep = (1 + (x / curve) ** 2).sqrt()
    if mattress:
        thin = mattress * (1 - (x / (half - 15)) ** 6).clamp(min=0)  # towards its edges
        layer = torch.maximum(-(y - top) / steep, torch.maximum(y - top - thin, x.abs() - half + 15))
        _blend_flat(canvas, layer, [(0.0, _material("mattress", draw))], outside)
    # the shell lies between two surfaces
    upper = -(y - top - mattress) / steep
    if kind == "crescent":
        bulge = (1 - (x / half) ** 2).clamp(min=0) ** draw.uniform(0.5, 1.0)
        lower = (y - top - mattress - 6 - deep * bulge) / (steep * steep + (2 * deep * x / half**2) ** 2).sqrt()
    else:
        lower = y + x * x / (2 * bottom_curve) - mattress - deep
    edge = x.abs() - half
    rounding = draw.uniform(3, 0.45 * deep)
    a, b = torch.maximum(upper, lower) + rounding, edge + rounding
    shell = torch.hypot(a.clamp(min=0), b.clamp(min=0)) + torch.maximum(a, b).clamp(max=0) - rounding
    fibre = Paint(draw.uniform(-350, 350), 0.0)
    _blend_flat(canvas, shell, [(0.0, fibre), (wall, _material("foam", draw))], outside)
    if draw.chance(0.35):
        _paint_carriage(canvas, draw.part("carriage"), x, y - mattress - deep, half, outside)


def _paint_carriage(canvas: Canvas, draw: Draw, x: Tensor, y: Tensor, half: float, outside: Tensor) -> None:
    """Paints what carries a couch: beams, rails and a cover of plastic or metal.

    Args:
        canvas: the grid.
        draw: gives the numbers.
        x: [X, 1, 1] mm from the couch's middle.
        y: [1, Y, 1] mm below its lowest point.
        half: half its width in mm.
        outside: [X, Y, Z] share of each voxel that is not body.
    """
    paint = draw.choice((_material("plastic", draw), Paint(draw.uniform(400, 2500)), Paint(draw.uniform(-300, 100))))
    bars = []
    if draw.chance(0.7):  # a beam in the middle, or a pair
        apart = draw.choice((0.0, draw.uniform(50, 0.7 * half)))
        bars.append((apart, draw.uniform(12, 45), draw.uniform(2, 25), draw.uniform(5, 20)))
    if draw.chance(0.5):  # rails at the sides
        bars.append((half - draw.uniform(5, 40), draw.uniform(4, 14), draw.uniform(-25, 8), draw.uniform(4, 14)))
    for place, wide, below, tall in bars:
        distance = torch.maximum((x.abs() - place).abs() - wide, (y - below - tall).abs() - tall)
        layers: list[tuple[float, Paint | float]] = [(0.0, paint)]
        if draw.chance(0.6):
            layers.append((draw.uniform(1.5, 4.0), AIR_HU))
        _blend_flat(canvas, distance, layers, outside)
    if draw.chance(0.5):
        arc = draw.uniform(500, 3000)
        sheet = (y - draw.uniform(30, 80) + x * x / (2 * arc)).abs() - draw.uniform(0.8, 2.0)
        _blend_flat(canvas, torch.maximum(sheet, x.abs() - 1.1 * half), [(0.0, paint)], outside)


def _blend_flat(canvas: Canvas, distance: Tensor, layers: list, outside: Tensor) -> None:
    """Blends layers whose distances are the same in all slices."""
    reach = torch.nonzero((distance < canvas.blur_mm).any(dim=0)[:, 0])
    if not len(reach):
        return
    rows = slice(int(reach.min()), int(reach.max()) + 1)
    box = canvas.all_voxels
    canvas.blend_layers((box[0], rows, box[2]), distance[:, rows].expand(-1, -1, canvas.shape[2]), layers, outside)


def paint_blanket(canvas: Canvas, draw: Draw, outside: Tensor) -> None:
    """Paints one or two sheets of cloth with folds around the front of the body."""
    depth = canvas.regions["body_depth"]
    side = ((canvas.axes[1][None, :, None] - canvas.centre_mm[1]) / 40 + draw.uniform(-2.5, -0.5)).clamp(0, 1)
    for _ in range(draw.integer(1, 2)):
        folds = lattice_field(canvas.axes, (60.0, 60.0, 90.0), draw.key()).mul_(7)
        folds.add_(lattice_field(canvas.axes, (18.0, 18.0, 70.0), draw.key()), alpha=3.0)
        gap, thick = draw.uniform(3, 10), draw.uniform(1.2, 3.5)
        cloth = _material("cloth", draw)
        for part, _ in canvas.slabs(canvas.all_voxels):
            away = (-depth[part] - (gap + folds[part]).clamp_(min=1.0)).abs_()
            share = ((thick + canvas.blur_mm) / 2 - away).clamp_(min=0).div_(canvas.blur_mm).clamp_(max=1.0)
            share = share.mul_(min(1.0, thick / canvas.blur_mm)).mul_(outside[part]).mul_(1 - side)
            canvas.blend(part, share, cloth)


def paint_cables(canvas: Canvas, draw: Draw, outside: Tensor) -> None:
    """Paints leads with electrodes, or a tube, along the front of the body."""
    front = (outside < 0.5).float().argmax(dim=1)  # [X, Z], 0 where there is no body
    for _ in range(draw.integer(1, 4)):
        x0, x1 = draw.uniform(0.25, 0.75), draw.uniform(0.2, 0.8)
        z0, z1 = draw.uniform(0.1, 0.7), draw.uniform(0.9, 1.0)
        bend = draw.normal(0, 0.08)
        places = []
        for n in range(17):
            t = n / 16
            i = round((x0 + (x1 - x0) * t + bend * math.sin(math.pi * t)) * (canvas.shape[0] - 1))
            k = round((z0 + (z1 - z0) * t) * (canvas.shape[2] - 1))
            i = min(max(i, 0), canvas.shape[0] - 1)
            row = int(front[i, k])
            if row > 0:
                voxel = canvas.points((slice(i, i + 1), slice(row, row + 1), slice(k, k + 1)))
                places.append((float(voxel.x), float(voxel.y) - 2.5, float(voxel.z)))
        if len(places) < 2:
            continue
        if draw.chance(0.6):
            lead = Tubes.polyline(places, 1.6)
            paint_tubes(canvas, lead, _material("plastic", draw))
            paint_tubes(canvas, Tubes.polyline(places, 0.5), 3000.0)
            patch = Tubes.polyline([places[0], tuple(v + d for v, d in zip(places[0], (0, -2, 0)))], 5.0)
            paint_tubes(canvas, patch, draw.uniform(200, 2500), outside)
        else:
            radius = draw.uniform(2.5, 4.5)
            paint_tubes(canvas, Tubes.polyline(places, radius), _material("plastic", draw), outside)
            paint_tubes(canvas, Tubes.polyline(places, 0.6 * radius), AIR_HU, outside)


def cut_field(canvas: Canvas, draw: Draw) -> None:
    """Cuts the field as small detectors and cropped scans do: all outside a cylinder, or beyond some slices, is air."""
    sizes = [n * v for n, v in zip(canvas.shape, canvas.voxel_mm)]
    kind = draw.choice(("cylinder", "slices", "both"), (0.4, 0.45, 0.15))
    if kind != "slices":
        radius = draw.uniform(0.34, 0.5) * min(sizes[:2])
        x = canvas.axes[0] - canvas.centre_mm[0] - draw.normal(0, 0.03) * sizes[0]
        y = canvas.axes[1] - canvas.centre_mm[1] - draw.normal(0, 0.03) * sizes[1]
        distance = (x[:, None] ** 2 + y[None, :] ** 2).sqrt() - radius
        canvas.hu.sub_(AIR_HU).mul_(canvas.coverage(distance)[:, :, None]).add_(AIR_HU)
    if kind != "cylinder":
        z = canvas.axes[2] - canvas.centre_mm[2]
        low, high = draw.uniform(-0.5, -0.28) * sizes[2], draw.uniform(0.28, 0.5) * sizes[2]
        canvas.hu.sub_(AIR_HU).mul_(canvas.coverage(torch.maximum(low - z, z - high))[None, None]).add_(AIR_HU)

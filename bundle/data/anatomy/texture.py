"""Random textures with a natural spectrum."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from bundle.data.anatomy.canvas import Canvas
from bundle.data.anatomy.variation import Draw, lattice_field

__all__ = ["add_textures", "octave_texture", "scanner_noise"]

_TISSUE_MM = (2.5, 5.0, 10.0, 20.0, 40.0)


def octave_texture(
    axes: Sequence[Tensor], voxel_mm: float, spacings_mm: Sequence[float], keys: Sequence[int], slope: float = 0.0
) -> Tensor:
    """A sum of octaves with about unit variance, were all of them resolved.

    In space of three dimensions octaves of equal variance (``slope`` 0) are a power spectrum of f^-3, which is what
    anatomical backgrounds in radiographs are near to (Burgess, Jacobson & Judy 2001, Medical Physics 28:419).
    Octaves finer than the voxels are weakened as averaging over a voxel does.

    Args:
        axes: coordinates in mm of the grid along x, y, z.
        voxel_mm: of the grid.
        spacings_mm: size of the details of every octave.
        keys: one for every octave.
        slope: octave amplitudes grow as (spacing)^slope.

    Returns:
        [X, Y, Z].
    """
    weights = [s**slope for s in spacings_mm]
    scale = 1 / math.sqrt(sum(w * w for w in weights))
    total = torch.zeros([len(a) for a in axes], device=axes[0].device)
    for spacing, key, weight in zip(spacings_mm, keys, weights):
        if spacing < 0.7 * voxel_mm:
            continue
        resolved = 1 / (1 + (0.6 * voxel_mm / spacing) ** 2)
        total.add_(lattice_field(axes, spacing, key), alpha=weight * scale * resolved)
    return total


def add_textures(canvas: Canvas, draw: Draw) -> None:
    """Gives a canvas the textures ``tissue``, ``coarse`` and ``bone`` (unit variance), which paints refer to.

    ``tissue`` has all octaves from 2.5 to 40 mm, ``coarse`` those from 10 mm (fat, bowel content), ``bone`` those up to
    7 mm (trabeculae).
    """
    keys = [draw.key() for _ in _TISSUE_MM]
    slope = draw.normal(0.0, 0.15)
    canvas.textures["tissue"] = octave_texture(canvas.axes, canvas.blur_mm, _TISSUE_MM, keys, slope)
    coarse = [draw.key() for _ in range(3)]
    fine = [draw.key() for _ in range(3)]
    canvas.textures["bone"] = octave_texture(canvas.axes, canvas.blur_mm, (1.5, 3.0, 7.0), fine, -0.2)
    canvas.textures["coarse"] = octave_texture(canvas.axes, canvas.blur_mm, (10.0, 20.0, 40.0), coarse)


def scanner_noise(canvas: Canvas, draw: Draw) -> Tensor:
    """Noise of the scanner that the CT came from: [X, Y, Z] in HU, fine-grained, of a drawn strength."""
    strength = draw.log_uniform(3.0, 25.0)
    keys = [draw.key(), draw.key()]
    return strength * octave_texture(canvas.axes, canvas.blur_mm, (2.0, 4.0), keys, slope=-0.5)

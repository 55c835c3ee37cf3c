"""Random anatomies: a name and a seed give a volume in HU."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bundle.data.anatomy.canvas import Canvas
from bundle.data.anatomy.head.painting import paint_head
from bundle.data.anatomy.limb.knee import paint_knee
from bundle.data.anatomy.surroundings import add_surroundings
from bundle.data.anatomy.texture import scanner_noise
from bundle.data.anatomy.trunk.painting import paint_abdomen, paint_chest, paint_pelvis
from bundle.data.anatomy.variation import Draw
from bundle.errors import InputError

__all__ = ["ANATOMIES", "generate_anatomy"]

ANATOMIES: dict[str, Callable[[Canvas, Draw], None]] = {
    "chest": paint_chest,
    "abdomen": paint_abdomen,
    "pelvis": paint_pelvis,
    "head": paint_head,
    "knee": paint_knee,
}
_LOWEST_HU, _HIGHEST_HU = -1024.0, (3071.0, 4095.0, 8191.0)  # 12-bit scanners, and those with an extended scale


def generate_anatomy(
    anatomy: str,
    seed: int,
    shape: Sequence[int],
    voxel_mm: Sequence[float],
    device: torch.device | str = "cpu",
    surroundings: bool = True,
) -> Tensor:
    """Paints a random patient as a CT would show it.

    Args:
        anatomy: a key of ``ANATOMIES``.
        seed: the same seed gives the same patient, at any resolution.
        shape: voxels (X, Y, Z).
        voxel_mm: voxel size (x, y, z).
        device: where to compute.
        surroundings: whether to add couch, clothing, cables, metal inserts and cut fields.

    Returns:
        [X, Y, Z] float32 HU in LPS, clipped as scanners do.

    Raises:
        InputError: for an unknown anatomy, or sizes that are not three positive numbers.
    """
    if anatomy not in ANATOMIES:
        raise InputError("anatomy", f"is {anatomy!r}.", f"Choose one of {', '.join(sorted(ANATOMIES))}.")
    if len(shape) != 3 or min(shape) < 1:
        raise InputError("shape", f"is {tuple(shape)}.", "Give three positive numbers of voxels.")
    if len(voxel_mm) != 3 or not min(voxel_mm) > 0:
        raise InputError("voxel_mm", f"is {tuple(voxel_mm)}.", "Give three positive sizes in mm.")
    draw = Draw(seed, anatomy)
    canvas = Canvas(shape, voxel_mm, device)
    canvas.with_surroundings = surroundings
    with torch.no_grad():
        ANATOMIES[anatomy](canvas, draw)
        if surroundings:
            add_surroundings(canvas, draw.part("surroundings"), anatomy)
        last = draw.part("scanner")
        canvas.hu += scanner_noise(canvas, last)
        return canvas.hu.clamp_(_LOWEST_HU, last.choice(_HIGHEST_HU, (0.6, 0.2, 0.2)))

"""Real CTs, warped: another patient from the same scan, seeded and in one resampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from bundle.data.anatomy.canvas import Canvas
from bundle.data.anatomy.real.inserts import add_inserts
from bundle.data.anatomy.real.intensity import change_classes, change_scan, change_structures, sharpness, smoothed
from bundle.data.anatomy.real.warp import Warp, pull_map, resample_hu, resample_labels, sampling_grid
from bundle.data.anatomy.surroundings import cut_field, paint_cables, paint_couch
from bundle.data.anatomy.texture import scanner_noise
from bundle.data.anatomy.variation import Draw
from bundle.errors import InputError

__all__ = ["Augmentation", "warp_ct"]

_LOWEST_HU, _HIGHEST_HU = -1024.0, 8191.0
_COUCH, _CABLES = 0.25, 0.15  # probabilities: most real CTs have a couch of their own


@dataclass(frozen=True)
class Augmentation:
    """How a real CT is changed.

    Args:
        warp: the affine and elastic map.
        intensity: strength of the changes of HU; 1 for those between patients and scanners, 0 for none.
        inserts: factor to the probabilities of lesions, metal, tubes and couches.
        cuts: probability that part of the body is outside of the scanner's field, and so air.
        noise: factor to the noise that is added and to the blurring or sharpening.
    """

    warp: Warp = field(default_factory=Warp)
    intensity: float = 1.0
    inserts: float = 1.0
    cuts: float = 0.3
    noise: float = 1.0

    @classmethod
    def none(cls) -> Augmentation:
        """The one that changes nothing."""
        return cls(Warp.none(), 0.0, 0.0, 0.0, 0.0)


def warp_ct(
    volume: Tensor,
    voxel_mm: Sequence[float],
    seed: int,
    labels: Tensor | None = None,
    shape: Sequence[int] | None = None,
    shape_voxel_mm: Sequence[float] | None = None,
    augmentation: Augmentation | None = None,
) -> Tensor:
    """Makes another CT of a real one: moved, bent, mirrored, cut, with other HU, and with what was not there.

    The centre of the CT comes to lie at the centre of the new grid, apart from what is drawn. Everything is computed on
    the volume's device.

    Args:
        volume: [1, X, Y, Z] HU, axes in LPS order; any number type.
        voxel_mm: voxel size (x, y, z).
        seed: the same seed gives the same volume (on one kind of device).
        labels: [1, X, Y, Z] whole numbers from 0 (no structure), whose structures then change their HU one by one.
        shape: voxels (X', Y', Z') of the new grid; those of the volume if None.
        shape_voxel_mm: their size; the volume's if None.
        augmentation: how much is changed; the usual if None.

    Returns:
        [1, X', Y', Z'] float32 HU, air (-1000) where the CT does not reach.

    Raises:
        InputError: when the volume has another number of axes, or the labels another shape.
    """
    how = augmentation or Augmentation()
    if volume.ndim != 4 or len(volume) != 1:
        raise InputError("volume", f"has shape {tuple(volume.shape)}.", "Give one channel and three axes.")
    if labels is not None and labels.shape != volume.shape:
        raise InputError(
            "labels",
            f"have shape {tuple(labels.shape)}, but the CT has {tuple(volume.shape)}.",
            "Give the label map of this CT.",
        )
    shape = tuple(shape or volume.shape[1:])
    new_mm = tuple(float(v) for v in (shape_voxel_mm or voxel_mm))
    draw = Draw(seed, "real")
    with torch.no_grad():
        surplus = [n * v - m * w for n, v, m, w in zip(volume.shape[1:], voxel_mm, shape, new_mm)]
        places = pull_map(how.warp.draw(draw.part("warp"), surplus), shape, new_mm, volume.device)
        grid = sampling_grid(places, volume.shape[1:], voxel_mm)
        canvas = Canvas(shape, new_mm, volume.device)
        hu = resample_hu(volume, grid)[0]
        if how.intensity > 0:
            if labels is not None:
                moved = resample_labels(labels, grid)[0]
                hu = change_structures(hu, moved, draw.part("structures"), how.intensity)
            hu = change_classes(hu, canvas.axes, draw.part("classes"), how.intensity)
            hu = change_scan(hu, canvas.axes, draw.part("scan"), how.intensity)
        canvas.hu = hu
        if how.inserts > 0:
            add_inserts(canvas, draw.part("inserts"), how.inserts)
            _add_surroundings(canvas, draw.part("surroundings"), how.inserts)
        if how.noise > 0:
            own = draw.part("noise")
            noise = scanner_noise(canvas, own).mul_(how.noise * own.uniform(0.1, 0.8))
            # scanners' noise has little power at low frequencies (the ramp filter of their reconstruction)
            canvas.hu = sharpness(canvas.hu, own, min(how.noise, 1.0)).add_(noise.sub_(smoothed(noise), alpha=0.8))
        cuts = draw.part("cuts")
        if cuts.chance(how.cuts):
            cut_field(canvas, cuts)
        return canvas.hu.clamp_(_LOWEST_HU, _HIGHEST_HU)[None]


def _add_surroundings(canvas: Canvas, draw: Draw, rate: float) -> None:
    outside = (canvas.hu < -500.0).float()
    if draw.chance(min(1.0, rate * _COUCH)):
        canvas.support_mm = _lowest_point_mm(canvas)
        if canvas.support_mm is not None:
            paint_couch(canvas, draw.part("couch"), outside)
    if draw.chance(min(1.0, rate * _CABLES)):
        paint_cables(canvas, draw.part("cables"), outside)


def _lowest_point_mm(canvas: Canvas) -> float | None:
    """The y in mm of the hindmost voxels of the body, which lie on the couch; None where there is no body."""
    dense = (canvas.hu > -250.0).float().mean(dim=(0, 2)) > 0.02  # less than that is cables or a thin couch
    rows = torch.nonzero(dense)
    return float(canvas.axes[1][rows.max()]) if len(rows) else None

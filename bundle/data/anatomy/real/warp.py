"""Where a warped CT shows what: random affine and elastic maps, mirroring and the part that the field sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from monai.transforms.utils import create_rotate, create_scale, create_shear
from torch import Tensor

from bundle.data.anatomy.canvas import AIR_HU
from bundle.data.anatomy.variation import Draw, lattice_field
from bundle.errors import InputError

__all__ = ["Placement", "Warp", "pull_map", "resample_hu", "resample_labels", "sampling_grid"]

# displacement: size of the details in mm, and share of the largest displacement; the gradient stays below 0.6
_OCTAVES = ((130.0, 0.6), (65.0, 0.25), (35.0, 0.15))
_LIMIT = 2.5  # standard deviations at which displacements are held


@dataclass(frozen=True)
class Warp:
    """How far a CT is warped; each number is the largest, what is drawn lies between it and its opposite.

    Args:
        rotation_degrees: about x, y, z.
        scale: smallest and largest factor; one factor for the body, further ones within ``stretch`` for every axis.
        stretch: largest factor between an axis's scale and the body's.
        shear: tangent of the angle.
        translation_mm: along x, y, z.
        roam: share of what the CT is longer than the field over which the field's place is drawn (1: all of it).
        elastic_mm: displacement along every axis.
        mirror: probability that left and right are exchanged.

    Raises:
        InputError: when a factor is not positive.
    """

    rotation_degrees: Sequence[float] = (8.0, 8.0, 15.0)
    scale: Sequence[float] = (0.9, 1.12)
    stretch: float = 1.07
    shear: float = 0.06
    translation_mm: Sequence[float] = (25.0, 20.0, 30.0)
    roam: float = 1.0
    elastic_mm: float = 15.0
    mirror: float = 0.5

    def __post_init__(self) -> None:
        if not (min(self.scale) > 0 and len(self.scale) == 2 and self.stretch >= 1):
            raise InputError(
                "warp", f"has scale {list(self.scale)} and stretch {self.stretch}.", "Give factors, stretch from 1 on."
            )

    @classmethod
    def none(cls) -> Warp:
        """The warp that leaves a CT where it is."""
        return cls((0.0,) * 3, (1.0, 1.0), 1.0, 0.0, (0.0,) * 3, 0.0, 0.0, 0.0)

    def draw(self, draw: Draw, surplus_mm: Sequence[float] = (0.0, 0.0, 0.0)) -> Placement:
        """Draws a placement.

        Args:
            draw: gives the numbers.
            surplus_mm: by which the CT is longer than the field along x, y, z, if it is.
        """
        radians = [float(torch.deg2rad(torch.tensor(draw.uniform(-a, a)))) for a in self.rotation_degrees]
        body = draw.log_uniform(*self.scale)
        factors = [body * draw.log_uniform(1 / self.stretch, self.stretch) for _ in range(3)]
        shears = [draw.uniform(-self.shear, self.shear) for _ in range(6)]
        shift = [
            draw.uniform(-t, t) + self.roam * draw.uniform(-0.5, 0.5) * max(0.0, s)
            for t, s in zip(self.translation_mm, surplus_mm)
        ]
        mirrored = draw.chance(self.mirror)
        matrix = create_rotate(3, radians) @ create_shear(3, shears) @ create_scale(3, factors)
        if mirrored:
            matrix = matrix @ create_scale(3, [-1.0, 1.0, 1.0])
        elastic = self.elastic_mm * draw.uniform(0.25, 1.0)
        keys = tuple(tuple(draw.key() for _ in range(3)) for _ in _OCTAVES)
        linear = tuple(tuple(float(v) for v in row[:3]) for row in matrix[:3])
        return Placement(linear, tuple(shift), elastic, keys, mirrored)


@dataclass(frozen=True)
class Placement:
    """One drawn warp: a point p of the CT comes to linear p + shift_mm, both in mm from the grids' centres.

    Args:
        linear: 3 x 3 rows.
        shift_mm: along x, y, z.
        elastic_mm: largest displacement along every axis.
        keys: of the displacement's fields, by octave and axis.
        mirrored: whether left and right are exchanged.
    """

    linear: tuple[tuple[float, ...], ...]
    shift_mm: tuple[float, ...]
    elastic_mm: float
    keys: tuple[tuple[int, ...], ...]
    mirrored: bool


def pull_map(
    placement: Placement, shape: Sequence[int], voxel_mm: Sequence[float], device: torch.device | str = "cpu"
) -> list[Tensor]:
    """Where every voxel of the warped grid lies in the CT.

    Args:
        placement: the warp.
        shape: voxels (X, Y, Z) of the warped grid.
        voxel_mm: their size.
        device: where to compute.

    Returns:
        x, y and z, each [X, Y, Z] or broadcastable to it, in mm from the CT's centre.
    """
    axes = [(torch.arange(n, device=device) - (n - 1) / 2) * v for n, v in zip(shape, voxel_mm)]
    inverse = torch.linalg.inv(torch.tensor(placement.linear, dtype=torch.float64))
    x, y, z = (axis - shift for axis, shift in zip(axes, placement.shift_mm))
    moved = []
    for number, row in enumerate(inverse.tolist()):
        place = row[0] * x[:, None, None] + row[1] * y[None, :, None] + row[2] * z[None, None, :]
        if placement.elastic_mm > 0:
            for (spacing, share), keys in zip(_OCTAVES, placement.keys):
                field = lattice_field(axes, spacing, keys[number]).clamp_(-_LIMIT, _LIMIT)
                place.add_(field, alpha=share * placement.elastic_mm / _LIMIT)
        moved.append(place)
    return moved


def sampling_grid(places: Sequence[Tensor], shape: Sequence[int], voxel_mm: Sequence[float]) -> Tensor:
    """Places in a CT as grid_sample wants them: -1 and 1 at its first and last voxels' centres, the last axis first.

    Args:
        places: from :func:`pull_map`.
        shape: voxels (X, Y, Z) of the CT.
        voxel_mm: voxel size (x, y, z) of the CT.

    Returns:
        [1, X', Y', Z', 3].
    """
    parts = [place * (2 / (v * max(n - 1, 1))) for place, n, v in zip(places, shape, voxel_mm)]
    return torch.stack(torch.broadcast_tensors(*parts)[::-1], dim=-1)[None]


def resample_hu(volume: Tensor, grid: Tensor) -> Tensor:
    """A CT at the places of a grid, by linear interpolation; air where they lie outside of it.

    Args:
        volume: [1, X, Y, Z] HU.
        grid: from :func:`sampling_grid`.

    Returns:
        [1, X', Y', Z'] float32 HU.
    """
    above_air = (volume.float() - AIR_HU)[None]  # so that the zeros outside mean air
    return F.grid_sample(above_air, grid, mode="bilinear", padding_mode="zeros", align_corners=True)[0] + AIR_HU


def resample_labels(labels: Tensor, grid: Tensor) -> Tensor:
    """A label map at the places of a grid, by the nearest voxel; 0 outside.

    Args:
        labels: [1, X, Y, Z] whole numbers up to 2^24.
        grid: from :func:`sampling_grid`.

    Returns:
        [1, X', Y', Z'] int64.
    """
    found = F.grid_sample(labels.float()[None], grid, mode="nearest", padding_mode="zeros", align_corners=True)
    return found[0].round().long()

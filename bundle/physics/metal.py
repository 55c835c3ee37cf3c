"""Metal inserts: spheres and rods in a volume, given or placed at random.

Metal attenuates far more than any HU window shows, so it enters a scan without clipping. Behind it hardly a photon is
left: with :class:`bundle.physics.noise.DetectorNoise` such rays end at its clamped counts (photon starvation).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from bundle.errors import InputError
from bundle.geometry import ConeBeamGeometry
from bundle.physics.attenuation import MU_WATER_PER_MM
from bundle.physics.spectrum import MATERIALS, linear_attenuation_per_mm

__all__ = ["QUANTITIES", "MetalInsert", "RandomMetal", "insert_metal", "metal_fractions", "mix_metal"]

QUANTITIES = ("hu", "mu_per_mm")
_SUBSAMPLES = 3  # per voxel and axis, for the share of a voxel that is filled


@dataclass(frozen=True)
class MetalInsert:
    """A rod with round ends; a sphere if its length is zero.

    Args:
        material: a name in bundle.physics.spectrum.MATERIALS.
        centre_mm: centre (x, y, z) in scan coordinates (LPS).
        radius_mm: radius of the rod and of its ends.
        length_mm: distance between the centres of its ends.
        direction: (x, y, z) along the rod, of any length.

    Raises:
        InputError: when the material is unknown or a number is impossible.
    """

    material: str
    centre_mm: Sequence[float]
    radius_mm: float
    length_mm: float = 0.0
    direction: Sequence[float] = (0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        if self.material not in MATERIALS:
            raise InputError("metal.material", f"is {self.material!r}.", f"Use one of {', '.join(MATERIALS)}.")
        for name in ("centre_mm", "direction"):
            try:
                vector = tuple(float(value) for value in getattr(self, name))
            except (TypeError, ValueError):
                vector = ()
            if len(vector) != 3 or not all(map(math.isfinite, vector)):
                raise InputError(f"metal.{name}", f"is {getattr(self, name)!r}.", "Give three numbers (x, y, z).")
            object.__setattr__(self, name, vector)
        if not any(self.direction):
            raise InputError("metal.direction", "is zero.", "Give a vector along the rod.")
        if not (0 < self.radius_mm < math.inf and 0 <= self.length_mm < math.inf):
            raise InputError(
                "metal",
                f"has a radius of {self.radius_mm} mm and a length of {self.length_mm} mm.",
                "Give a positive radius and a length of at least zero.",
            )

    @property
    def axis_mm(self) -> tuple[float, ...]:
        """Vector (x, y, z) from the centre to the centre of one end."""
        norm = math.hypot(*self.direction)
        return tuple(0.5 * self.length_mm * value / norm for value in self.direction)


@dataclass(frozen=True)
class RandomMetal:
    """Inserts of random kind, size and direction, their centres inside the body.

    Args:
        count: number of inserts.
        materials: materials to choose from.
        radius_mm: smallest and largest radius.
        length_mm: smallest and largest length.
        inside_hu: centres lie in voxels of more than these HU; 300 means bone and teeth.

    Raises:
        InputError: when a number or a material is impossible.
    """

    count: int = 2
    materials: Sequence[str] = ("titanium", "stainless_steel", "amalgam")
    radius_mm: Sequence[float] = (1.0, 4.0)
    length_mm: Sequence[float] = (0.0, 20.0)
    inside_hu: float = 300.0

    def __post_init__(self) -> None:
        if self.count < 1 or int(self.count) != self.count or len(self.materials) == 0:
            raise InputError(
                "metal", f"asks for {self.count} inserts of {list(self.materials)}.", "Give at least one of each."
            )
        for name in ("radius_mm", "length_mm"):
            bounds = getattr(self, name)
            if len(bounds) != 2 or not bounds[0] <= bounds[1]:
                raise InputError(f"metal.{name}", f"is {list(bounds)}.", "Give two numbers, the lower first.")
        for material in self.materials:
            MetalInsert(material, (0.0, 0.0, 0.0), self.radius_mm[0], self.length_mm[0])

    def place(
        self, hu: torch.Tensor, geometry: ConeBeamGeometry, generator: torch.Generator | None = None
    ) -> list[MetalInsert]:
        """Chooses inserts for a volume.

        Args:
            hu: [X, Y, Z] volume in HU.
            geometry: gives the grid.
            generator: source of randomness, on any device; the global one if None.

        Raises:
            InputError: when no voxel lies above inside_hu.
        """
        candidates = torch.nonzero((hu > self.inside_hu).flatten()).squeeze(1)
        if len(candidates) == 0:
            raise InputError(
                "metal.inside_hu", f"is {self.inside_hu}, but no voxel has as much.", "Give fewer HU, or no metal."
            )
        device = "cpu" if generator is None else generator.device
        draws = torch.rand(int(self.count), 6, generator=generator, device=device, dtype=torch.float64)
        chosen = (draws[:, 0] * len(candidates)).long().to(candidates.device)
        voxels = torch.stack(torch.unravel_index(candidates[chosen], hu.shape), dim=1).tolist()
        inserts = []
        for voxel, (_, kind, radius, length, height, turn) in zip(voxels, draws.tolist()):
            cosine = 2.0 * height - 1.0  # evenly over the sphere
            sine = math.sqrt(1.0 - cosine**2)
            inserts.append(
                MetalInsert(
                    material=self.materials[int(kind * len(self.materials))],
                    centre_mm=(geometry.volume_affine @ [*voxel, 1.0])[:3],
                    radius_mm=_between(self.radius_mm, radius),
                    length_mm=_between(self.length_mm, length),
                    direction=(sine * math.cos(2 * math.pi * turn), sine * math.sin(2 * math.pi * turn), cosine),
                )
            )
        return inserts


def insert_metal(
    volume: torch.Tensor, geometry: ConeBeamGeometry, inserts: Sequence[MetalInsert], quantity: str = "hu"
) -> torch.Tensor:
    """Puts inserts into a volume, without clipping.

    Args:
        volume: [..., X, Y, Z] in HU or in 1/mm; all volumes of a batch get the same inserts.
        geometry: gives the grid.
        inserts: the metal, the later ones displacing the earlier.
        quantity: "hu" or "mu_per_mm", what the volume holds.

    Returns:
        [..., X, Y, Z] a new volume.

    Raises:
        InputError: when the volume is not on the geometry's grid, the quantity is unknown, or an insert lies outside.
    """
    if tuple(volume.shape[-3:]) != geometry.volume_shape:
        raise InputError(
            "volume",
            f"has shape {tuple(volume.shape)} where the geometry says {geometry.volume_shape} (x, y, z).",
            "Give the volume that belongs to the geometry.",
        )
    return mix_metal(volume, metal_fractions(inserts, geometry, volume), quantity)


def mix_metal(volume: torch.Tensor, fractions: Mapping[str, torch.Tensor], quantity: str = "hu") -> torch.Tensor:
    """Replaces parts of voxels by metal.

    Args:
        volume: [..., X, Y, Z] in HU or in 1/mm, at the reference energy.
        fractions: for each material, the share of every voxel that it fills, [X, Y, Z] or shaped as the volume.
        quantity: "hu" or "mu_per_mm", what the volume holds.

    Raises:
        InputError: when the quantity is unknown.
    """
    if quantity not in QUANTITIES:
        raise InputError("quantity", f"is {quantity!r}.", f"Use one of {QUANTITIES}.")
    if not fractions:
        return volume
    mixed = volume * (1.0 - sum(fractions.values()))
    for material, fraction in fractions.items():
        mixed = mixed + fraction * _value(material, quantity)
    return mixed


def metal_fractions(
    inserts: Sequence[MetalInsert], geometry: ConeBeamGeometry, like: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Shares of each voxel that metals fill.

    Args:
        inserts: the metal, the later ones displacing the earlier.
        geometry: gives the grid.
        like: a tensor of the wanted device and type.

    Returns:
        For each material that occurs, [X, Y, Z] shares between 0 and 1, together at most 1.

    Raises:
        InputError: when an insert lies outside the volume.
    """
    fractions = {insert.material: like.new_zeros(geometry.volume_shape) for insert in inserts}
    for insert in inserts:
        box, filled = _filled(insert, geometry, like)
        for material, fraction in fractions.items():
            fraction[box] *= 1.0 - filled
            if material == insert.material:
                fraction[box] += filled
    return fractions


def _value(material: str, quantity: str) -> float:
    """A metal in 1/mm at the reference energy, or in the HU that stand for the same."""
    mu_per_mm = linear_attenuation_per_mm(material)
    return mu_per_mm if quantity == "mu_per_mm" else 1000.0 * (mu_per_mm / MU_WATER_PER_MM - 1.0)


def _filled(
    insert: MetalInsert, geometry: ConeBeamGeometry, like: torch.Tensor
) -> tuple[tuple[slice, ...], torch.Tensor]:
    """The box of voxels around an insert, and the share of each that it fills."""
    origin_mm = geometry.volume_affine[:3, 3]
    box = []
    for axis in range(3):
        reach_mm = abs(insert.axis_mm[axis]) + insert.radius_mm
        middle = (insert.centre_mm[axis] - origin_mm[axis]) / geometry.voxel_mm[axis]
        reach = reach_mm / geometry.voxel_mm[axis]
        first = max(0, math.floor(middle - reach + 0.5))
        last = min(geometry.volume_shape[axis], math.ceil(middle + reach + 0.5))
        if first >= last:
            raise InputError(
                "metal.centre_mm", f"is {list(insert.centre_mm)}, outside the volume.", "Give millimetres inside it."
            )
        box.append(slice(first, last))
    filled = like.new_zeros([part.stop - part.start for part in box])
    steps = [(i + 0.5) / _SUBSAMPLES - 0.5 for i in range(_SUBSAMPLES)]
    for offsets in itertools.product(steps, repeat=3):
        away = [
            (torch.arange(part.start, part.stop, device=like.device, dtype=like.dtype) + offset) * size
            + origin
            - centre
            for part, offset, size, origin, centre in zip(box, offsets, geometry.voxel_mm, origin_mm, insert.centre_mm)
        ]
        filled += _is_inside(insert, *torch.meshgrid(*away, indexing="ij"))
    return tuple(box), filled / _SUBSAMPLES**3


def _is_inside(insert: MetalInsert, x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Whether points, in mm from the insert's centre, are within its radius of the line between its ends."""
    end = insert.axis_mm
    square = x * x + y * y + z * z
    if insert.length_mm > 0:
        # Position along the line, -1 and 1 at its ends; the squared distance to that point of it.
        along = (x * end[0] + y * end[1] + z * end[2]) / (0.25 * insert.length_mm**2)
        nearest = along.clamp(-1.0, 1.0)
        square = square + (0.25 * insert.length_mm**2) * nearest * (nearest - 2.0 * along)
    return square <= insert.radius_mm**2


def _between(bounds: Sequence[float], share: float) -> float:
    return bounds[0] + share * (bounds[1] - bounds[0])

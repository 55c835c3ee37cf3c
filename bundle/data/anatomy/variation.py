"""Random draws of a body: all parameters from one seed, before and independently of the grid.

Numbers come from one NumPy generator. Fields in space come from a hash of lattice indices, so that a window of a
field is the same whichever part of it, on whichever grid and device, is computed.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

__all__ = ["Draw", "lattice_field"]

T = TypeVar("T")
_FEW_ROWS = 32  # of a banded matrix that are multiplied together
_AT_A_TIME = 2**17  # numbers hashed at a time on a CPU, so that they stay in its caches


class Draw:
    """The random parameters of one body.

    Args:
        seed: any integer.
        anatomy: name that makes the draws of different anatomies independent.
    """

    def __init__(self, seed: int, anatomy: str) -> None:
        self.seed = int(seed)
        self.anatomy = anatomy
        self.generator = np.random.default_rng([self.seed % 2**63, zlib.crc32(anatomy.encode())])

    def part(self, name: str) -> Draw:
        """An independent sequence for one part, which draws in other parts do not move."""
        return Draw(self.seed, f"{self.anatomy}/{name}")

    def uniform(self, low: float, high: float) -> float:
        """A number between two limits."""
        return float(self.generator.uniform(low, high))

    def normal(self, mean: float, deviation: float, limit: float = 2.5) -> float:
        """A normal number, held within ``limit`` deviations of its mean."""
        return mean + deviation * float(np.clip(self.generator.standard_normal(), -limit, limit))

    def log_normal(self, median: float, spread: float, limit: float = 2.5) -> float:
        """``median`` times e^(spread * normal), the normal held within ``limit``."""
        return median * float(np.exp(self.normal(0.0, spread, limit)))

    def log_uniform(self, low: float, high: float) -> float:
        """A number between two positive limits, evenly in its logarithm."""
        return float(np.exp(self.generator.uniform(np.log(low), np.log(high))))

    def chance(self, probability: float) -> bool:
        """True with a probability."""
        return bool(self.generator.uniform() < probability)

    def choice(self, options: Sequence[T], weights: Sequence[float] | None = None) -> T:
        """One of several options."""
        shares = None if weights is None else np.array(weights) / np.sum(weights)
        return options[int(self.generator.choice(len(options), p=shares))]

    def integer(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both included."""
        return int(self.generator.integers(low, high + 1))

    def normals(self, *shape: int) -> np.ndarray:
        """[shape] standard normal numbers (parameters, never volumes)."""
        return self.generator.standard_normal(shape)

    def key(self) -> int:
        """A key for :func:`lattice_field`."""
        return int(self.generator.integers(0, 2**31 - 1))


def lattice_field(axes: Sequence[Tensor], spacing_mm: Sequence[float] | float, key: int) -> Tensor:
    """Smooth random field with zero mean and unit variance: a cubic B-spline through noise on a lattice.

    Args:
        axes: three 1-D tensors, the coordinates in mm of the grid along x, y, z.
        spacing_mm: of the lattice, one for all axes or one for each; details have about this size.
        key: from :meth:`Draw.key`; the same key gives the same field in mm.

    Returns:
        [X, Y, Z] on the axes' device.
    """
    spacings = (spacing_mm,) * 3 if isinstance(spacing_mm, (int, float)) else tuple(spacing_mm)
    weights, counts = [], []
    for number, (axis, spacing) in enumerate(zip(axes, spacings)):
        place = axis.double() / spacing + 0.37 * (number + 1)
        low, high = int(torch.floor(place.min())) - 1, int(torch.floor(place.max())) + 2
        index = torch.arange(low, high + 1, device=axis.device)
        weights.append((_cubic_spline(place[:, None] - index[None, :]) / 0.479**0.5).float())
        counts.append(index.to(torch.int32))
    field = _noise(counts, key)
    y, z = len(axes[1]), len(axes[2])
    field = _spread(weights[2], field.reshape(-1, field.shape[2]).T).T.reshape(field.shape[0], field.shape[1], z)
    field = torch.stack([_spread(weights[1], plane) for plane in field])
    return _spread(weights[0], field.reshape(field.shape[0], -1)).reshape(-1, y, z)


def _spread(weights: Tensor, field: Tensor) -> Tensor:
    """The matrix product of weights [N, K] and a field [K, M]; on a CPU without most of the weights that are zero."""
    if weights.device.type != "cpu" or weights.shape[1] < 4 * _FEW_ROWS // 3:
        return weights @ field
    result = field.new_empty(len(weights), field.shape[1])
    for start in range(0, len(weights), _FEW_ROWS):
        part = weights[start : start + _FEW_ROWS]
        used = torch.nonzero(part.any(dim=0))
        first, last = int(used[0]), int(used[-1]) + 1
        torch.mm(part[:, first:last], field[first:last], out=result[start : start + _FEW_ROWS])
    return result


def _cubic_spline(t: Tensor) -> Tensor:
    a = t.abs()
    near = 2 / 3 - a * a * (1 - a / 2)
    far = (2 - a).clamp(min=0) ** 3 / 6
    return torch.where(a < 1, near, far)


def _noise(index: Sequence[Tensor], key: int) -> Tensor:
    """Uniform numbers of unit variance from a hash of three indices and a key (32-bit finaliser of MurmurHash3)."""
    i, j, k = index
    rows = _mix(_mix(i * 0x27D4EB2F + (key & 0x7FFFFFFF))[:, None] + j * 0x165667B1)
    along = k * 0x1B873593
    result = torch.empty((len(i), len(j), len(k)), device=i.device)
    step = max(_AT_A_TIME // max(len(j) * len(k), 1), 1) if i.device.type == "cpu" else len(i)
    for start in range(0, len(i), step):
        part = slice(start, start + step)
        torch.mul(_mix(rows[part, :, None] + along), 3**0.5 / 2**31, out=result[part])
    return result


def _mix(h: Tensor) -> Tensor:
    """Changes the numbers given; they are nobody else's."""
    shifted = (h >> 16).bitwise_and_(0xFFFF)
    h.bitwise_xor_(shifted).mul_(-0x7A143595)
    torch.bitwise_right_shift(h, 13, out=shifted)
    h.bitwise_xor_(shifted.bitwise_and_(0x7FFFF)).mul_(-0x3D4D51CB)
    torch.bitwise_right_shift(h, 16, out=shifted)
    return h.bitwise_xor_(shifted.bitwise_and_(0xFFFF))

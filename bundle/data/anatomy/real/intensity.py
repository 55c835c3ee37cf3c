"""Other HU for the same anatomy: of the whole scan, of tissue classes, and of labelled structures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bundle.data.anatomy.canvas import AIR_HU
from bundle.data.anatomy.variation import Draw, lattice_field

__all__ = ["change_classes", "change_scan", "change_structures", "sharpness", "smoothed"]

# HU at which a soft class is centred, and the standard deviation of its change. Air stays. The changes of neighbours
# are less than half as large as their distance, so that the order of the tissues stays.
_CLASSES = (
    (-1000.0, 0.0),
    (-850.0, 30.0),  # lung
    (-500.0, 60.0),  # congested lung, and borders of lung and soft tissue
    (-105.0, 9.0),  # fat
    (45.0, 12.0),  # muscle and organs
    (140.0, 20.0),  # contrast, cartilage
    (300.0, 50.0),  # spongy bone
    (1000.0, 130.0),  # cortical bone
    (2500.0, 250.0),
)
_LOWEST, _HIGHEST = -1024, 4096  # of the tables
_GAIN_REACH = 100.0  # HU from a structure's mean up to which its contrast is changed


def change_scan(hu: Tensor, axes: Sequence[Tensor], draw: Draw, strength: float = 1.0) -> Tensor:
    """Another calibration: a factor, an offset and a smooth shading, none of which moves air.

    Args:
        hu: [X, Y, Z].
        axes: three 1-D tensors, coordinates in mm.
        draw: gives the numbers.
        strength: 1 for the usual deviations (1.5 %, 6 HU and 5 HU), 0 for none.
    """
    factor = 1 + strength * draw.normal(0.0, 0.015, 2.0)
    offset = strength * draw.normal(0.0, 6.0, 2.0)
    shading = lattice_field(axes, 160.0, draw.key()).mul_(strength * draw.uniform(0.0, 10.0) / 2).add_(offset)
    return hu + material_share(hu) * shading.add_(hu - AIR_HU, alpha=factor - 1)


def material_share(hu: Tensor) -> Tensor:
    """How far a voxel is no air: 0 at -1000 HU, 1 from -850 HU on."""
    return ((hu - AIR_HU) * (1 / 150.0)).clamp_(0, 1)


def change_classes(hu: Tensor, axes: Sequence[Tensor], draw: Draw, strength: float = 1.0) -> Tensor:
    """Moves tissue classes that HU alone tell apart, softly between them, and more in some places than in others.

    Args:
        hu: [X, Y, Z].
        axes: three 1-D tensors, coordinates in mm.
        draw: gives the numbers.
        strength: 1 for the usual deviations, 0 for none.
    """
    moves = np.array([draw.normal(0.0, deviation, 2.0) for _, deviation in _CLASSES])
    centres = np.array([centre for centre, _ in _CLASSES])
    reach = np.minimum(np.diff(centres, prepend=-np.inf), np.diff(centres, append=np.inf))
    moves = strength * np.clip(moves, -0.45 * reach, 0.45 * reach)
    table = np.interp(np.arange(_LOWEST, _HIGHEST + 1), centres, moves)
    change = _looked_up(table, hu)
    patches = lattice_field(axes, draw.log_uniform(25.0, 80.0), draw.key()).mul_(0.4).clamp_(-0.9, 0.9)
    return hu + change.mul_(patches.add_(1.0))


def change_structures(hu: Tensor, labels: Tensor, draw: Draw, strength: float = 1.0) -> Tensor:
    """Gives every labelled structure an offset and a contrast of its own, with edges about a voxel wide.

    Offsets have a standard deviation of 12 HU in soft tissue, 8 % of the distance from there elsewhere; one soft
    structure in seven is enhanced by 20 to 160 HU, as contrast medium does. A structure's contrast about its mean
    changes by up to a fifth. What has no label (0) stays, but for the edges.

    Args:
        hu: [X, Y, Z].
        labels: [X, Y, Z] int64, from 0; any number of them.
        draw: gives the numbers; a label's are its own, whichever other labels there are.
        strength: 1 for the usual deviations, 0 for none.
    """
    count = int(labels.max()) + 1
    if count <= 1:
        return hu
    flat = labels.reshape(-1)
    voxels = torch.bincount(flat, minlength=count)
    # sums of whole numbers, which are the same in whichever order a device adds them
    totals = torch.zeros(count, dtype=torch.int64, device=hu.device)
    totals.index_add_(0, flat, hu.reshape(-1).round().long())
    means = (totals.double() / voxels.clamp(min=1)).tolist()
    offsets, gains = np.zeros(count), np.zeros(count)
    for label in range(1, count):
        own = draw.part(f"label {label}")
        offsets[label] = own.normal(0.0, 12.0 + 0.08 * abs(means[label] - 40.0), 2.0)
        gains[label] = own.uniform(-0.2, 0.2)
        if own.chance(0.15) and 0.0 < means[label] < 150.0:
            offsets[label] += own.log_uniform(20.0, 160.0)
    tables = torch.tensor(
        np.stack([strength * offsets, strength * gains, means]), dtype=torch.float32, device=hu.device
    )
    offset, gain, mean = (table[flat].reshape(hu.shape) for table in tables)
    # a structure's border has its neighbours' HU in part, which its gain must not multiply
    change = offset.addcmul_(gain, (hu - mean).clamp_(-_GAIN_REACH, _GAIN_REACH))
    return hu + smoothed(change)


def sharpness(hu: Tensor, draw: Draw, strength: float = 1.0) -> Tensor:
    """Another reconstruction kernel: a little blurred or sharpened, by up to one binomial filter of three voxels."""
    share = strength * draw.uniform(-0.5, 0.8)
    return hu if share == 0 else torch.lerp(hu, smoothed(hu), share)


def smoothed(field: Tensor) -> Tensor:
    """[X, Y, Z] after the binomial filter (1, 2, 1) / 4 along every axis; edges are repeated."""
    for axis in range(3):
        n = field.shape[axis]
        if n < 2:
            continue
        result = field * 0.5
        result.narrow(axis, 1, n - 1).add_(field.narrow(axis, 0, n - 1), alpha=0.25)
        result.narrow(axis, 0, n - 1).add_(field.narrow(axis, 1, n - 1), alpha=0.25)
        result.narrow(axis, 0, 1).add_(field.narrow(axis, 0, 1), alpha=0.25)
        result.narrow(axis, n - 1, 1).add_(field.narrow(axis, n - 1, 1), alpha=0.25)
        field = result
    return field


def _looked_up(table: np.ndarray, hu: Tensor) -> Tensor:
    """A table over whole HU at the nearest of them."""
    values = torch.tensor(table, dtype=torch.float32, device=hu.device)
    return values[(hu - (_LOWEST - 0.5)).clamp_(0, len(table) - 1).int()]

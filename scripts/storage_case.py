"""The prepared case, and the training items, that scripts/benchmark_storage.py stores and reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from bundle.data.ct_volume import read_ct
from bundle.physics.attenuation import hu_to_unit
from bundle.prepared.lattice import lattice_factors, split_blocks
from bundle.presets import load_preset
from bundle.sampling.views import hybrid_views
from bundle.simulation import project_own_voxels
from scripts.storage_formats import OpenCase

__all__ = ["Case", "Item", "draw_items", "prepare", "read_item", "to_unit"]

_FULL = 65535


@dataclass(frozen=True)
class Case:
    """A prepared case in memory: volume [blocks, x, y, z] and projections [views, V, U] as uint16, and its angles."""

    volume: np.ndarray
    projections: np.ndarray
    factors: tuple[int, int, int]
    angles_rad: np.ndarray


@dataclass(frozen=True)
class Item:
    """What one training step takes of a case: a block, views, and points of the block."""

    block: int
    views: np.ndarray
    points: torch.Tensor


def prepare(source: Path, size: int, candidates: int) -> Case:
    """The source resampled to size^3 voxels, and its simulated projections."""
    preset = load_preset("luna16", (size, size), (size, size, size))
    unit = hu_to_unit(read_ct(source).numpy()[0], preset.hu_window)
    unit = ndimage.zoom(unit, [size / n for n in unit.shape], order=1, mode="nearest", grid_mode=True)
    angles = np.arange(candidates) * preset.arc_rad / candidates
    volume = torch.from_numpy(unit.astype(np.float32))[None, None]
    projections = project_own_voxels(volume, preset.geometry(angles), preset.hu_window)[0].numpy()
    factors = lattice_factors(unit.shape)
    blocks = split_blocks(np.rint(unit * _FULL).astype(np.uint16), factors)
    return Case(blocks, np.rint(projections * (_FULL / projections.max())).astype(np.uint16), factors, angles)


def draw_items(case: Case, count: int, views: int, points: int) -> list[Item]:
    """Random items, the same at every call."""
    rng = np.random.RandomState(0)
    items = []
    for _ in range(count):
        chosen = hybrid_views(min(int(rng.choice([6, 8, 10])), views), views, case.angles_rad, False, rng).views
        inside = torch.from_numpy(rng.randint(0, case.volume[0].size, points))
        items.append(Item(int(rng.randint(len(case.volume))), chosen, inside))
    return items


def to_unit(stored: np.ndarray) -> torch.Tensor:
    """Stored numbers as float32 in [0, 1]."""
    return torch.from_numpy(np.multiply(stored, np.float32(1 / _FULL), dtype=np.float32))


def read_item(case: OpenCase, item: Item) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Block [x, y, z], projections [views, V, U] and values at the points [points]."""
    block = to_unit(case.block(item.block))
    return block, to_unit(case.views(item.views)), block.reshape(-1)[item.points]

"""Overlap, surface distances and volumes of labelled structures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.metrics import compute_dice, get_mask_edges, get_surface_distance

from bundle.errors import InputError
from bundle.optional import require

__all__ = ["overlap_rows"]

_FOUND = {
    (True, True): "both",
    (False, True): "reference only",
    (True, False): "reconstruction only",
    (False, False): "neither",
}
_Box = tuple[slice, ...]


def overlap_rows(
    labels: np.ndarray, reference: np.ndarray, structures: Mapping[int, str], voxel_mm: Sequence[float]
) -> list[dict[str, Any]]:
    """Compares two label maps structure by structure.

    A surface is made of a structure's voxels that have a face neighbour outside it; beyond the grid all is outside.
    The average symmetric surface distance (ASSD) is the mean over both surfaces' voxels of the distance to the other
    surface, and the 95 % Hausdorff distance (HD95) the larger of the two surfaces' 95th percentiles. Distances are
    between voxel centres. All of it is MONAI's.

    What is missing has no surface: distances are None unless the structure is found in both maps. Dice is 0 if it is
    found in one of them, and None if in neither.

    Args:
        labels: [X, Y, Z] integers of the segmented reconstruction.
        reference: [X, Y, Z] integers on the same grid.
        structures: names by label, from 1; further labels in the maps are left out.
        voxel_mm: voxel size (x, y, z).

    Returns:
        A row for each structure: "structure", "found" ("both", "reference only", "reconstruction only" or "neither"),
        "dice", "assd_mm", "hd95_mm", "volume_ml" and "reference_volume_ml".

    Raises:
        InputError: when the maps are not 3D, not of integers or not of one shape, a label is below 1,
            or a voxel size is not positive.
    """
    _check(labels, reference, structures, voxel_mm)
    maps = (labels, reference)
    boxes = [_boxes(one) for one in maps]
    voxel_ml = math.prod(voxel_mm) / 1000.0
    rows = []
    for label, name in structures.items():
        box = _union([found[label] for found in boxes if label in found])
        masks = [torch.from_numpy(one[box] == label) for one in maps]
        volumes = [int(mask.sum()) * voxel_ml for mask in masks]
        rows.append(
            {
                "structure": name,
                "found": _FOUND[volumes[0] > 0, volumes[1] > 0],
                "dice": _dice(*masks),
                **_distances(masks[0], masks[1], voxel_mm),
                "volume_ml": volumes[0],
                "reference_volume_ml": volumes[1],
            }
        )
    return rows


def _check(labels: np.ndarray, reference: np.ndarray, structures: Mapping[int, str], voxel_mm: Sequence[float]) -> None:
    for source, one in (("label map", labels), ("reference label map", reference)):
        if one.ndim != 3 or not np.issubdtype(one.dtype, np.integer):
            raise InputError(
                source, f"is {one.dtype} of shape {one.shape}.", "Give whole numbers with three axes (x, y, z)."
            )
    if labels.shape != reference.shape:
        raise InputError(
            "label map",
            f"has shape {labels.shape} where its reference has {reference.shape}.",
            "Bring both to one grid, by nearest-neighbour resampling.",
        )
    if min(structures, default=1) < 1:
        raise InputError("structures", f"name the label {min(structures)}.", "Number them from 1; 0 is the background.")
    if len(voxel_mm) != 3 or not all(0 < size < math.inf for size in voxel_mm):
        raise InputError("voxel_mm", f"is {list(voxel_mm)}.", "Give three positive sizes in mm (x, y, z).")


def _boxes(labels: np.ndarray) -> dict[int, _Box]:
    """The box of every label above zero, in one pass."""
    found = require("scipy.ndimage", "scipy", "comparing label maps").find_objects(labels)
    return {label: box for label, box in enumerate(found, start=1) if box is not None}


def _union(boxes: Sequence[_Box]) -> _Box:
    """The smallest box around others; an empty one around none."""
    if not boxes:
        return (slice(0, 0),) * 3
    return tuple(slice(min(s.start for s in axis), max(s.stop for s in axis)) for axis in zip(*boxes))


def _dice(mask: torch.Tensor, reference: torch.Tensor) -> float | None:
    if not (mask.any() or reference.any()):
        return None
    return float(compute_dice(mask[None, None], reference[None, None], ignore_empty=False))


def _distances(mask: torch.Tensor, reference: torch.Tensor, voxel_mm: Sequence[float]) -> dict[str, float | None]:
    if not (mask.any() and reference.any()):
        return {"assd_mm": None, "hd95_mm": None}
    # Once for both figures; MONAI's own functions would each do it again.
    surface, other = get_mask_edges(mask, reference)
    distances = [
        torch.as_tensor(get_surface_distance(surface, other, spacing=tuple(voxel_mm))),
        torch.as_tensor(get_surface_distance(other, surface, spacing=tuple(voxel_mm))),
    ]
    return {
        "assd_mm": float(torch.cat(distances).mean()),
        "hd95_mm": max(float(torch.quantile(one, 0.95)) for one in distances),
    }

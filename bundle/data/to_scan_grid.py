"""Dictionary transform that brings a CT to a scan's grid, and to the finer one that the scan is simulated of."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from bundle.arguments import is_true
from bundle.data.ct_formats import LPS_TO_RAS
from bundle.data.fine_grid import averaged, fine_shape
from bundle.data.resample import resample
from bundle.data.scan_grid import scan_axes, scan_grids
from bundle.errors import naming
from bundle.physics.attenuation import hu_to_unit
from bundle.presets import ScanPreset
from bundle.simulation import FINE, OWN_VOXELS, SCANNED_FROM, describe_scan

__all__ = ["ToScanGridd", "axis_spacing_mm", "fine_and_truth"]

_COARSER = 1.001  # more than rounding of a header


class ToScanGridd(MapTransform):
    """Resamples a CT to the scan's field, its centre at the field's, and scales HU to [0, 1].

    The entry with the CT [1, i, j, k] in HU becomes the truth [1, X, Y, Z] float32 on the scan's grid, with its affine
    in RAS mm. "fine" [1, fX, fY, fZ] float16 is what projections are simulated of: the CT on a grid at least twice as
    fine (see :func:`bundle.data.fine_grid.fine_shape`), whose averages the truth is. "scanned_from" says so in words.

    Args:
        keys: the one entry that holds a CT.
        scan: gives the field, the grid and the HU window.
        own_voxels: make no finer volume, so that scans are simulated of the voxels that are reconstructed.

    Raises:
        ValueError: for several keys.
    """

    def __init__(self, keys: KeysCollection, scan: ScanPreset, own_voxels: bool = False) -> None:
        super().__init__(keys)
        if len(self.keys) != 1:
            raise ValueError(f"ToScanGridd takes one key, got {self.keys}.")
        self.scan = scan
        self.own_voxels = is_true(own_voxels, "own_voxels")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Transforms one item."""
        d = dict(data)
        (key,) = self.keys
        ct = d[key]
        affine = np.asarray(ct.affine, dtype=np.float64)
        with naming(ct.meta.get("filename_or_obj", key)):
            grid = scan_grids(ct.shape[1:], affine, self.scan)[0]
        hu = torch.as_tensor(ct)[0].numpy()
        if self.own_voxels:
            truth = torch.from_numpy(_unit(hu, affine, grid, self.scan, self.scan.volume_shape))
            d[SCANNED_FROM] = OWN_VOXELS
        else:
            fine, truth, d[SCANNED_FROM] = fine_and_truth(hu, affine, grid, self.scan)
            d[FINE] = fine.half()[None]
        meta = {name: value for name, value in ct.meta.items() if name != "affine"}
        d[key] = MetaTensor(truth[None], affine=torch.as_tensor(grid), meta={**meta, "original_affine": affine})
        return d


def fine_and_truth(
    hu: np.ndarray, affine_ras: np.ndarray, grid: np.ndarray, scan: ScanPreset, order: int = 1
) -> tuple[torch.Tensor, torch.Tensor, str]:
    """A CT on the grid that its scan is simulated of, and the averages of that on the scan's own.

    Args:
        hu: [i, j, k] HU.
        affine_ras: [4, 4] map from its voxel index to RAS mm.
        grid: [4, 4] map from the scan's voxel index to RAS mm (see :func:`bundle.data.scan_grid.scan_grids`).
        scan: the scan.
        order: of the interpolating splines.

    Returns:
        [fX, fY, fZ] and [X, Y, Z], both float32 in [0, 1] over the HU window, and how a scan of them is made, in words.
    """
    spacing_mm = axis_spacing_mm(affine_ras)
    shape = fine_shape(scan.volume_shape, scan.volume_size_mm, spacing_mm.tolist())
    fine = torch.from_numpy(_unit(hu, affine_ras, _refined(grid, scan.volume_shape, shape), scan, shape, order))
    of = f"CT of {'x'.join(f'{d:.3g}' for d in spacing_mm)} mm"
    if (spacing_mm > _COARSER * np.asarray(scan.voxel_mm)).any():
        of += " (coarser than the reconstruction)"
    return fine, averaged(fine, scan.volume_shape), describe_scan(shape, of)


def axis_spacing_mm(affine_ras: np.ndarray) -> np.ndarray:
    """[3] a CT's voxel sizes along the axes (x, y, z) of the scan that its own are nearest to.

    Args:
        affine_ras: [4, 4] map from voxel index to RAS mm.
    """
    columns = (LPS_TO_RAS @ affine_ras)[:3, :3]
    along = np.abs(scan_axes(affine_ras).T @ (columns / np.linalg.norm(columns, axis=0)))
    return np.linalg.norm(columns, axis=0)[along.argmax(axis=1)]


def _unit(
    hu: np.ndarray, affine: np.ndarray, grid: np.ndarray, scan: ScanPreset, shape: Sequence[int], order: int = 1
) -> np.ndarray:
    values = resample(hu, affine, grid, shape, order)
    return hu_to_unit(values, scan.hu_window).astype(np.float32, copy=False)


def _refined(grid: np.ndarray, shape: Sequence[int], fine: Sequence[int]) -> np.ndarray:
    """[4, 4] the affine of a grid over the same field with other numbers of voxels."""
    steps = np.divide(shape, fine)
    to_coarse = np.diag([*steps, 1.0])
    to_coarse[:3, 3] = 0.5 * steps - 0.5
    return grid @ to_coarse

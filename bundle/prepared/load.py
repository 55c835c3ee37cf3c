"""Dictionary transforms that read prepared cases."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from bundle.arguments import is_true
from bundle.data.sample_points import SamplePointsd
from bundle.errors import InputError, naming
from bundle.geometry_rows import pack_geometry, unpack_geometry
from bundle.physics.acquisition import Acquisition
from bundle.prepared.case import PreparedCase
from bundle.prepared.checked_files import CheckedFiles
from bundle.prepared.volume import LatticeVolume
from bundle.presets import ScanPreset
from bundle.sampling.points import is_held_out, voxel_positions
from bundle.simulation import OWN_VOXELS, SCANNED_FROM

__all__ = ["OpenPreparedd", "SampleBlockd"]


class OpenPreparedd(MapTransform):
    """Opens prepared cases: their views, and the whole volume where it is asked for.

    The entry with a case's folder becomes its volume [1, X, Y, Z] with the affine in RAS mm, or stays what it is, for
    training on points alone. The item gets "projections", which SampleViewsd reads views of as they are stored, so
    that half the bytes travel to the device; "projection_coding" [2], their scale and offset; the views' "matrices"
    [views, 3, 4], "geometry" [views, 26] and "angles_rad" [views]; "acquisition", the physics that they have; and
    "scanned_from", what they were simulated of.

    Args:
        keys: entries that hold cases' folders.
        scan: the network's scan, which the cases must have been prepared for.
        whole: read the whole volume.
        projections: use stored projections; otherwise they are simulated.
        acquisition: the physics that projections are to have; those that are stored must have been made with it.
        own_voxels: projections may be simulated of the stored volume's own voxels, as there are no finer ones.

    Raises:
        InputError: when a case is damaged, also by the checksums that preparation recorded, was prepared for another
            scan or with other physics, or has no projections and its own voxels are not to be projected.
    """

    def __init__(
        self,
        keys: KeysCollection,
        scan: ScanPreset,
        whole: bool = False,
        projections: bool = True,
        acquisition: Acquisition | None = None,
        own_voxels: bool = False,
    ) -> None:
        super().__init__(keys)
        self.checked_files = CheckedFiles()
        self.acquisition = acquisition
        self.own_voxels = is_true(own_voxels, "own_voxels")
        self.scan = scan
        self.whole = whole
        self.projections = is_true(projections, "prepared_projections")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Transforms one item."""
        d = dict(data)
        for key in self.key_iterator(d):
            case = PreparedCase.open(d[key])
            self.checked_files.check(case.folder)
            check_scan(case, self.scan)
            if self.projections and case.has_projections:
                d.update(self._views(case))
            elif self.own_voxels:
                d[SCANNED_FROM] = OWN_VOXELS
            else:
                raise InputError(
                    case.folder,
                    "has no voxels finer than those that are reconstructed, which a scan is simulated of.",
                    "Use its stored projections, or set own_voxels to true: all that is measured then says so.",
                )
            if self.whole:
                meta = {"filename_or_obj": case.folder}
                d[key] = MetaTensor(case.volume.read()[None], affine=torch.as_tensor(case.affine_ras), meta=meta)
        return d

    def _views(self, case: PreparedCase) -> dict[str, Any]:
        if self.acquisition is not None and str(self.acquisition) != case.acquisition:
            raise InputError(
                "acquisition",
                f"is {self.acquisition}, but the stored projections of {case.folder} have {case.acquisition}.",
                "Leave it out, or set prepared_projections to false, so that they are simulated.",
            )
        rows = case.geometry_rows
        with naming(case.folder):
            views, flip = _candidates(rows.numpy().tobytes(), len(rows), self.scan.row_direction)
        geometry = unpack_geometry(rows[:1])
        to_detector_mm = float(np.linalg.norm(geometry.source_mm - geometry.detector_centre_mm))
        stored = {
            "detector_shape": geometry.detector_shape,
            "pixel_mm": geometry.pixel_mm,
            "sod_mm": [float(np.linalg.norm(geometry.source_mm))],
            "sdd_mm": [to_detector_mm],
        }
        for name, values in stored.items():
            _check_equal(case, self.scan, name, values)
        projections = case.open_projections(flip)
        return {
            **views,
            "projections": projections,
            "projection_coding": torch.tensor([projections.coding.scale, projections.coding.offset]),
            "acquisition": case.acquisition,
            SCANNED_FROM: case.scanned_from,
        }


class SampleBlockd(SamplePointsd):
    """Draws points from one sub-lattice of a prepared case, chosen at random, and reads nothing else of its volume.

    Arguments and results are those of SamplePointsd, but the entry holds the case's folder, and keeps it; neighbours
    are those of the sub-lattice, several voxels apart.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Transforms one item."""
        d = dict(data)
        volume = PreparedCase.open(d[self.key]).volume
        block, index = self._draw(volume)
        positions = voxel_positions(volume.voxels(block, index), volume.shape, self.corner)
        d["points"] = torch.from_numpy(positions)
        d["values"] = torch.from_numpy(volume.values(block, index))[None]
        return d

    def _draw(self, volume: LatticeVolume) -> tuple[int, np.ndarray]:
        """A block, and indices of voxels in it."""
        shape = volume.array.shape[1:]
        block = self.R.randint(len(volume.array))
        every = self.hold_out_every
        if every is None:
            return block, self.draw(shape)

        def held_out(index: np.ndarray) -> np.ndarray:
            return is_held_out(volume.voxels(block, index), every)

        # Planes repeat within this many voxels of a block, so that these tell whether all of it is held out.
        pattern = np.indices([min(n, every) for n in shape]).reshape(3, -1).T
        while held_out(pattern).all():
            block = self.R.randint(len(volume.array))
        return block, self.draw(shape, held_out)


def check_scan(case: PreparedCase, scan: ScanPreset) -> None:
    """Refuses a case that was prepared for another grid or HU window than the scan's.

    Raises:
        InputError: naming what differs.
    """
    _check_equal(case, scan, "volume_shape", case.volume.shape)
    _check_equal(case, scan, "voxel_mm", case.voxel_mm)
    _check_equal(case, scan, "hu_window", case.hu_window)


def _check_equal(case: PreparedCase, scan: ScanPreset, name: str, stored: Sequence[float]) -> None:
    wanted = np.atleast_1d(getattr(scan, name)).tolist()
    if len(stored) != len(wanted) or not np.allclose(stored, wanted, rtol=1e-6):
        raise InputError(
            case.folder,
            f"was prepared with {name} {list(stored)}, but preset {scan.name} has {list(wanted)}.",
            "Prepare the data set with this preset and these sizes, or train with those that it has.",
        )


@lru_cache(maxsize=16)
def _candidates(rows: bytes, count: int, row_direction: str) -> tuple[dict[str, torch.Tensor], bool]:
    """Views of a geometry for the network, and whether its rows are to be turned round; mostly all cases share one."""
    packed = torch.frombuffer(bytearray(rows), dtype=torch.float64).reshape(count, -1)
    geometry = unpack_geometry(packed)
    flip = geometry.row_direction() != row_direction
    if flip:
        geometry = geometry.flip_rows()
    views = {
        "geometry": pack_geometry(geometry),
        "matrices": torch.as_tensor(geometry.unit_matrices(), dtype=torch.float32),
        "angles_rad": torch.as_tensor(np.array(geometry.angles_rad), dtype=torch.float32),
    }
    return views, flip

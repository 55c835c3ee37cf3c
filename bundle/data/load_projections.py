"""Projection files as network input."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import nibabel as nib
import numpy as np
import torch
import torch.nn.functional as F
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from bundle.arguments import is_true
from bundle.data.ct_formats import LPS_TO_RAS
from bundle.data.projection_file import ProjectionSet, read_projections
from bundle.errors import InputError, naming
from bundle.fixed_tuples import pair
from bundle.geometry_rows import pack_geometry
from bundle.physics.acquisition import Acquisition
from bundle.presets import ScanPreset
from bundle.simulation import OWN_VOXELS, SCANNED_FROM

__all__ = [
    "LoadProjectionsd",
    "check_same_volume",
    "check_volume_size",
    "grid_affine",
    "network_input",
    "pixels_averaged",
    "scan_origin",
    "unit_to_patient",
    "with_pixels",
]


_SIZE_DIFFERS = 0.01  # of the volume's; attenuation, and so HU, are wrong by as much


def unit_to_patient(data: ProjectionSet) -> np.ndarray:
    """[4, 4] map from the unit cube over the scan's volume to patient coordinates (RAS mm).

    Args:
        data: projections, whose geometry has the volume.
    """
    geometry = data.geometry
    to_world = np.diag([*geometry.volume_size_mm, 1.0])
    to_world[:3, 3] = np.array(geometry.volume_centre_mm) - np.array(geometry.volume_size_mm) / 2
    return LPS_TO_RAS @ data.world_to_patient @ to_world


def grid_affine(unit_to_patient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """[4, 4] affine of a grid of voxel centres over the unit cube, in patient coordinates.

    Args:
        unit_to_patient: [4, 4] map from the unit cube to patient coordinates.
        shape: voxels (x, y, z).
    """
    size = np.array(shape, dtype=np.float64)
    to_unit = np.diag([*(1.0 / size), 1.0])
    to_unit[:3, 3] = 0.5 / size
    return unit_to_patient @ to_unit


def network_input(data: ProjectionSet, scan: ScanPreset) -> dict[str, torch.Tensor]:
    """Brings projections into the form that a network trained on the scan expects.

    Values are normalised for the scan's HU window, rows turned to its direction, and pixels averaged (or
    interpolated) to its number of rows and columns over the same detector area.

    Args:
        data: measured or simulated projections.
        scan: the network's scan.

    Returns:
        "projections" [views, V, U], "matrices" [views, 3, 4] and "angles_rad" [views], all float32, and "geometry"
        [views, 26] float64 (see pack_geometry).
    """
    geometry, values = data.geometry, data.normalised(pair(scan.hu_window))
    if geometry.row_direction() != scan.row_direction:
        geometry, values = geometry.flip_rows(), values[:, ::-1].copy()
    projections = with_pixels(torch.as_tensor(values, dtype=torch.float32), scan.detector_shape)
    geometry = geometry.with_pixels(scan.detector_shape)
    return {
        "projections": projections,
        "matrices": torch.as_tensor(geometry.unit_matrices(), dtype=torch.float32),
        "geometry": pack_geometry(geometry),
        "angles_rad": torch.as_tensor(np.array(geometry.angles_rad), dtype=torch.float32),
    }


def with_pixels(projections: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Averages, or interpolates, pixels to another number of rows and columns over the same detector area.

    Args:
        projections: [..., views, V, U].
        shape: (rows, columns).

    Returns:
        [..., views, rows, columns].
    """
    images = projections.reshape(1, -1, *projections.shape[-2:])
    for axis, (stored, n) in enumerate(zip(images.shape[2:], shape)):
        if stored != n:
            size = (n, images.shape[3]) if axis == 0 else (images.shape[2], n)
            options = {"mode": "area"} if stored > n else {"mode": "bilinear", "align_corners": False}
            images = F.interpolate(images, size=size, **options)
    return images.reshape(*projections.shape[:-2], *shape)


def pixels_averaged(data: ProjectionSet, scan: ScanPreset) -> float:
    """The measured pixels in each of those that :func:`network_input` gives; 1 where it interpolates.

    Args:
        data: measured or simulated projections.
        scan: the network's scan.
    """
    return float(max(1.0, np.prod(data.geometry.detector_shape) / np.prod(scan.detector_shape)))


def scan_origin(data: ProjectionSet) -> str:
    """How a scan was made, in words, as far as its provenance tells.

    Args:
        data: measured or simulated projections.
    """
    simulated = "simulated_from" in data.provenance
    return str(data.provenance.get(SCANNED_FROM, OWN_VOXELS if simulated else "measured"))


def check_same_volume(data: ProjectionSet, volume: MetaTensor, source: object) -> None:
    """Refuses stored projections of another volume than the one they are to be trained with.

    Args:
        data: stored projections.
        volume: [1, X, Y, Z] CT on the scan's grid, with its affine.
        source: what to name in the message.

    Raises:
        InputError: when the projections' volume lies elsewhere in the patient, by more than a voxel at a corner.
    """
    corners = np.array([[x, y, z] for x in (0.0, 1.0) for y in (0.0, 1.0) for z in (0.0, 1.0)])
    index = corners * np.array(volume.shape[1:]) - 0.5
    affine = np.asarray(volume.affine, dtype=np.float64)
    there = nib.affines.apply_affine(affine, index)
    here = nib.affines.apply_affine(unit_to_patient(data), corners)
    distance = float(np.linalg.norm(here - there, axis=1).max())
    if distance > np.linalg.norm(affine[:3, :3], axis=0).max():
        raise InputError(
            source,
            f"describes a volume that lies {distance:.1f} mm away from the CT's.",
            "Make the projections of this CT with this preset (python -m bundle simulate).",
        )


def check_volume_size(data: ProjectionSet, scan: ScanPreset, source: object) -> None:
    """Refuses projections of a volume of another size than a network's, where its classical prior takes it for that.

    Args:
        data: the projections.
        scan: the network's scan.
        source: what to name in the message.

    Raises:
        InputError: when a side differs by more than a hundredth.
    """
    found, wanted = np.array(data.geometry.volume_size_mm), np.array(scan.volume_size_mm)
    if (np.abs(found - wanted) > _SIZE_DIFFERS * wanted).any():
        told = [" x ".join(f"{side:g}" for side in size) for size in (found, wanted)]
        grid = [str(list(values)).replace(" ", "") for values in (scan.volume_shape, scan.voxel_mm)]
        raise InputError(
            source,
            f"is to become a volume of {told[0]} mm, but the network reconstructs {told[1]} mm.",
            f"Give its geometry the network's volume (volume_shape {grid[0]}, voxel_mm {grid[1]}; output_shape is "
            "free), or choose another method.",
        )


class LoadProjectionsd(MapTransform):
    """Reads stored candidate projections, adding their "matrices", "geometry" and "angles_rad" to the item.

    Its "acquisition", the physics that they have, is then "stored"; "scanned_from" tells where they come from.

    Args:
        keys: the one entry that holds a projection file's path; it becomes [views, V, U].
        scan: the network's scan.
        allow_missing_keys: skip absent entries.
        used: read them; otherwise the entry is taken out of the item, whose projections are then simulated.
        acquisition: the physics that projections are to have; nothing says whether those of a file have them.

    Raises:
        InputError: when an item's "image" is another volume than its projections', or physics are asked for.
    """

    def __init__(
        self,
        keys: KeysCollection,
        scan: ScanPreset,
        allow_missing_keys: bool = False,
        used: bool = True,
        acquisition: Acquisition | None = None,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"LoadProjectionsd takes one key, got {self.keys}.")
        self.scan = scan
        self.used = is_true(used, "prepared_projections")
        self.acquisition = acquisition

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Transforms one item."""
        d = dict(data)
        for key in self.key_iterator(d):
            if not self.used:
                del d[key]
                continue
            if self.acquisition is not None:
                raise InputError(
                    "acquisition",
                    f"is {self.acquisition}, but the projections of {d[key]} are as they were stored.",
                    "Leave it out, or set prepared_projections to false, so that they are simulated.",
                )
            stored = read_projections(os.fspath(d[key]))
            if "image" in d:
                check_same_volume(stored, d["image"], d[key])
            with naming(d[key]):
                loaded = network_input(stored, self.scan)
            d[key] = loaded.pop("projections")
            d.update(loaded, acquisition="stored")
            d[SCANNED_FROM] = scan_origin(stored)
        return d

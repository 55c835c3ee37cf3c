"""Dictionary transform that makes network input of whatever is to be reconstructed."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from bundle.classical.orbit import Orbit
from bundle.data.ct_formats import LPS_TO_RAS
from bundle.data.load_projections import (
    check_volume_size,
    grid_affine,
    network_input,
    pixels_averaged,
    scan_origin,
    unit_to_patient,
)
from bundle.data.projection_file import ProjectionSet, read_projections
from bundle.errors import InputError, naming
from bundle.fixed_tuples import pair
from bundle.paths import is_inside
from bundle.physics.acquisition import Acquisition
from bundle.presets import ScanPreset
from bundle.sampling.views import uniform_views
from bundle.simulation import SCANNED_FROM, simulate_item

__all__ = ["LoadReconstructionInputd", "project_ct"]

_DEFAULT_VIEWS = 6


def project_ct(
    item: Mapping[Hashable, Any],
    scan: ScanPreset,
    num_views: int,
    acquisition: Acquisition | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> ProjectionSet:
    """Simulates a sparse scan of a CT volume, the isocentre at the volume's centre.

    Args:
        item: what :class:`bundle.data.to_scan_grid.ToScanGridd` makes of a CT: "image" [1, X, Y, Z] in [0, 1] on the
            scan's grid, in LPS order, with its affine, and "fine", which is projected.
        scan: the scan.
        num_views: number of equally spaced views.
        acquisition: noise and other physics; none if None.
        seed: seed of its randomness.
        device: device to simulate on.

    Returns:
        The projections, with the way back to the patient's coordinates.
    """
    views = uniform_views(num_views, scan.candidate_views)
    geometry = scan.geometry(scan.candidate_angles_rad[views])
    generator = torch.Generator(device).manual_seed(seed)
    projections = simulate_item(item, geometry, scan.hu_window, acquisition, generator, device)[0]
    volume = item["image"]
    patient_affine_lps = LPS_TO_RAS @ np.asarray(volume.affine, dtype=np.float64)
    return ProjectionSet(
        projections.cpu().numpy(),
        geometry,
        hu_window=pair(scan.hu_window),
        world_to_patient=patient_affine_lps @ np.linalg.inv(geometry.volume_affine),
        provenance={
            "simulated_from": str(volume.meta.get("filename_or_obj", "")),
            "preset": scan.name,
            SCANNED_FROM: item[SCANNED_FROM],
        },
    )


class LoadReconstructionInputd(MapTransform):
    """Reads projections, or a CT to simulate them from.

    Turns an item's path (of a .npz projection file, or a CT volume in any readable format) into projections
    [views, V, U], and adds "matrices" [views, 3, 4], "geometry" [views, 26], "unit_to_patient" [4, 4], and what the
    noise depends on: "pixels_averaged", the measured pixels in each of the image's, and "mu_water_per_mm".

    The projections' metadata describe the volume that will be reconstructed of them, not the detector: "affine" and
    "original_affine" [4, 4] in RAS mm and "spatial_shape" (x, y, z), so that applications that lay a result over its
    input, such as MONAI Label, find the right grid. "matrices" are there, too, for callers that hand on nothing but
    the image.

    Args:
        keys: where the path is, and the projections will be.
        scan: the network's scan.
        ct_transforms: transforms that bring a CT's "image" from a path to the scan's grid and to [0, 1].
        num_views: views to use: of a CT, to simulate (6 if None); of a projection file, equally spaced ones out of
            all (all if None).
        acquisition: noise and other physics of the simulation.
        output_shape: voxels (x, y, z) of the reconstruction; the scan's if None.
        folders: where the files may be, for servers whose clients name them; anywhere if None.
        same_size: refuse projections of a volume of another size than the scan's.
        detector: the scan with the detector that a CT's projections are simulated for, before pixels are averaged to
            the network's; the scan itself if None.
    """

    def __init__(
        self,
        keys: KeysCollection,
        scan: ScanPreset,
        ct_transforms: Callable[[dict], dict],
        num_views: int | None = None,
        acquisition: Acquisition | None = None,
        output_shape: Sequence[int] | None = None,
        folders: Sequence[str] | None = None,
        same_size: bool = False,
        detector: ScanPreset | None = None,
    ) -> None:
        super().__init__(keys)
        if len(self.keys) != 1:
            raise ValueError(f"keys are {self.keys}; give one.")
        self.scan = scan
        self.ct_transforms = ct_transforms
        self.num_views = num_views
        self.acquisition = acquisition
        self.same_size = same_size
        self.detector = detector or scan
        self.folders = None if folders is None else [Path(folder).resolve() for folder in folders]
        self.output_shape = tuple(scan.volume_shape if output_shape is None else output_shape)

    def load(self, source: str) -> ProjectionSet:
        """The projections of a source, before they are made to suit the network."""
        if source.lower().endswith(".npz"):
            loaded = read_projections(source)
            if self.num_views is None:
                return loaded
            return _select(loaded, self.num_views)
        item = self.ct_transforms({"image": source})
        views = _DEFAULT_VIEWS if self.num_views is None else self.num_views
        return project_ct(item, self.detector, views, self.acquisition)

    def _check_place(self, source: str) -> None:
        """Refuses a file, or a link to one, outside of the folders."""
        if self.folders is not None and not any(is_inside(source, folder) for folder in self.folders):
            raise InputError(source, "is outside of the folders that may be read.", "See DEEPSPARSE_FOLDERS.")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Transforms one item."""
        d = dict(data)
        (key,) = self.keys
        source = os.fspath(d[key])
        self._check_place(source)
        with naming(source):
            loaded = self.load(source)
            if self.same_size:
                check_volume_size(loaded, self.scan, source)
            inputs = network_input(loaded, self.scan)
        to_patient = unit_to_patient(loaded)
        affine = grid_affine(to_patient, self.output_shape)
        meta = {
            "filename_or_obj": source,
            "original_affine": affine,
            "spatial_shape": np.array(self.output_shape),
            "matrices": inputs["matrices"],
        }
        d[key] = MetaTensor(inputs["projections"], affine=torch.as_tensor(affine), meta=meta)
        d["matrices"] = inputs["matrices"]
        d["geometry"] = inputs["geometry"]
        d["pixels_averaged"] = pixels_averaged(loaded, self.scan)
        d["mu_water_per_mm"] = float(loaded.mu_water_per_mm)
        d["unit_to_patient"] = torch.as_tensor(to_patient)
        d[SCANNED_FROM] = scan_origin(loaded)
        return d


def _select(data: ProjectionSet, count: int) -> ProjectionSet:
    """A number of views, equally spaced among all of them in the order of their angles."""
    views = uniform_views(count, data.geometry.num_views)
    if data.geometry.num_views > 1:
        views = np.argsort(Orbit.of(data.geometry).angle_rad, kind="stable")[views]
    return replace(data, projections=data.projections[views], geometry=data.geometry.select(views))

"""Small prepared cases and data sets, written directly."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from bundle.data.datalist import PREPARED
from bundle.phantoms import asymmetric_phantom, voxelise
from bundle.prepared.write import write_case
from bundle.presets import ScanPreset
from bundle.simulation import project_own_voxels

AFFINE_RAS = np.array([[-8.0, 0, 0, 70], [0, -9.0, 0, 65], [0, 0, 10.0, -230], [0, 0, 0, 1.0]])


def write_phantom(folder: Path, scan: ScanPreset, with_projections: bool = True, **options) -> np.ndarray:
    """Writes the asymmetric phantom as a prepared case and gives its volume [X, Y, Z]."""
    geometry = scan.geometry(scan.candidate_angles_rad)
    volume = voxelise(asymmetric_phantom(geometry.volume_size_mm), geometry).clip(0, 1).astype(np.float32)
    projections = None
    if with_projections:
        projections = project_own_voxels(torch.from_numpy(volume)[None, None], geometry, scan.hu_window)[0].numpy()
    folder.mkdir(parents=True)
    write_case(
        folder,
        folder.name,
        volume,
        AFFINE_RAS,
        scan.hu_window,
        geometry,
        projections=projections,
        **options,
    )
    return volume


def write_set(folder: Path, scan: ScanPreset, sections: Mapping[str, Sequence[str]], **options) -> Path:
    """Writes a prepared data set of phantoms."""
    listing: dict = {"format": PREPARED}
    for section, names in sections.items():
        listing[section] = [{"image": f"cases/{name}", "case": name} for name in names]
        for name in names:
            write_phantom(folder / "cases" / name, scan, **options)
    (folder / "dataset.json").write_text(json.dumps(listing))
    return folder

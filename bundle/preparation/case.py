"""Preparing one case: from the files as downloaded to stored arrays."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import bundle
from bundle.checksums import file_sha256
from bundle.data.resample import resample
from bundle.data.scan_grid import box_centre, scan_grids
from bundle.data.to_scan_grid import fine_and_truth
from bundle.datasets import DATASETS
from bundle.datasets.raw_case import RawCase, RawVolume
from bundle.datasets.sources import describe_sources, source_files
from bundle.errors import InputError, naming
from bundle.physics.acquisition import Acquisition
from bundle.physics.attenuation import hu_to_unit, unit_to_hu
from bundle.physics.noise import DetectorNoise, case_generator
from bundle.preparation.settings import INTERPOLATIONS, PrepareSettings
from bundle.prepared.write import write_case
from bundle.presets import ScanPreset
from bundle.simulation import OWN_VOXELS, project_own_voxels, simulate_scan

__all__ = ["CASES", "prepare_case", "source_paths"]

CASES = "cases"
"""Folder of the prepared cases in a prepared data set."""
_BODY_HU = -500.0
_LEAST_BODY = 0.002  # of the crop's voxels; a hand in a field made for the trunk is more


def prepare_case(case: RawCase, settings: PrepareSettings, output: Path) -> dict[str, Any]:
    """Prepares a case, as one volume or, where the data set's rules say so, several.

    Args:
        case: the case as downloaded.
        settings: what decides the result.
        output: folder to write to; items become output/cases/NAME, which must not exist.

    Returns:
        A plain record: "case", "patient", "items" with their files' sizes and checksums, "sources" and "seconds".

    Raises:
        InputError: when the case cannot be used.
    """
    started = time.monotonic()
    with naming(case.name):
        if case.problem is not None:
            raise case.problem
        rules = DATASETS[settings.dataset]
        case = _what_is_used(case, settings)
        sources = describe_sources(case)
        raw = rules.read(case, settings.check_hu)
        scan = settings.scan
        centre = box_centre(raw.label) if rules.centre == "label" else None
        grids = scan_grids(raw.hu.shape, raw.affine_ras, scan, centre, rules.axial_window_mm)
        provenance = {
            "case": case.name,
            "patient": case.patient,
            "source": _summary(sources),
            "settings": settings.as_dict(),
            "code": f"deepsparse-bundle {bundle.__version__}",
        }
        items = []
        for number, grid in enumerate(grids, start=1):
            name = case.name if len(grids) == 1 else f"{case.name}_part{number}"
            folder = output / CASES / name
            folder.mkdir(parents=True)
            _write_item(folder, name, raw, grid, scan, settings, provenance)
            items.append({"name": name, "files": _describe_folder(output, folder)})
    return {
        "case": case.name,
        "patient": case.patient,
        "items": items,
        "sources": sources,
        "seconds": round(time.monotonic() - started, 3),
    }


def source_paths(case: RawCase, settings: PrepareSettings) -> list[Path]:
    """The files that preparing a case reads.

    Raises:
        InputError: when one that another names is missing or cut short.
    """
    return source_files(_what_is_used(case, settings))


def needs_labels(dataset: str, settings: PrepareSettings) -> bool:
    """Whether preparing a data set takes its cases' label maps."""
    return settings.keep_labels or (dataset in DATASETS and DATASETS[dataset].centre == "label")


def _what_is_used(case: RawCase, settings: PrepareSettings) -> RawCase:
    """The case without a label that nothing needs, which may then be damaged, or large."""
    return case if needs_labels(settings.dataset, settings) else replace(case, label=None)


def _write_item(
    folder: Path,
    name: str,
    raw: RawVolume,
    grid: np.ndarray,
    scan: ScanPreset,
    settings: PrepareSettings,
    provenance: dict[str, Any],
) -> None:
    order = INTERPOLATIONS[settings.interpolation]
    if settings.own_voxels:
        hu = resample(raw.hu, raw.affine_ras, grid, scan.volume_shape, order)
        volume, scanned_from = hu_to_unit(torch.from_numpy(hu), scan.hu_window), OWN_VOXELS
        scanned, simulate = volume, project_own_voxels
    else:
        scanned, volume, scanned_from = fine_and_truth(raw.hu, raw.affine_ras, grid, scan, order)
        simulate = simulate_scan
    body = float((unit_to_hu(volume, scan.hu_window) > _BODY_HU).float().mean())
    if body < _LEAST_BODY:
        raise InputError(
            f"crop {name}",
            f"holds nothing but air: {100 * body:.2g} % of its voxels are above {_BODY_HU:g} HU.",
            "Check the CT's position and its labels, or leave the case out.",
        )
    geometry = scan.geometry(scan.candidate_angles_rad)
    noise = None if settings.photons is None else DetectorNoise(settings.photons)
    acquisition = None if noise is None else Acquisition(noise=noise)
    projections = labels = None
    if settings.candidate_projections:
        generator = case_generator(settings.seed, name, "cpu")
        projections = simulate(scanned[None, None], geometry, scan.hu_window, acquisition, generator)[0].numpy()
    if settings.keep_labels and raw.label is not None:
        labels = resample(raw.label, raw.affine_ras, grid, scan.volume_shape, order=0, outside=0)
    write_case(
        folder,
        name,
        volume.numpy(),
        grid,
        scan.hu_window,
        geometry,
        settings.precision,
        projections,
        "exact" if acquisition is None else str(acquisition),
        scanned_from,
        labels,
        provenance,
    )


def _summary(sources: list[dict[str, Any]]) -> dict[str, Any]:
    """All source files as one; a DICOM series has hundreds."""
    together = "".join(source["sha256"] for source in sources)
    return {
        "file": Path(sources[0]["path"]).name,
        "files": len(sources),
        "bytes": sum(source["bytes"] for source in sources),
        "sha256": sources[0]["sha256"] if len(sources) == 1 else hashlib.sha256(together.encode()).hexdigest(),
    }


def _describe_folder(output: Path, folder: Path) -> dict[str, dict[str, Any]]:
    files = sorted(file for file in folder.iterdir() if file.is_file())
    return {
        str(file.relative_to(output)): {"bytes": file.stat().st_size, "sha256": file_sha256(file)} for file in files
    }

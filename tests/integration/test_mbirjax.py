"""MBIRJAX, in an environment of its own, on the scan that the conversion describes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bundle.errors import InputError
from bundle.geometry import circular
from bundle.phantoms import asymmetric_phantom, line_integrals, voxelise
from scripts.outside.mbirjax_process import Mbirjax
from tests.conftest import ROOT

pytestmark = pytest.mark.integration
ENVIRONMENT = Path(os.environ.get("MBIRJAX_ENVIRONMENT", ROOT / ".venv-mbirjax"))
SCAN = circular(
    np.deg2rad([10, 55, 100, 190, 300]),
    sod_mm=500,
    sdd_mm=800,
    detector_shape=(96, 112),
    pixel_mm=(2.6, 2.2),
    volume_shape=(88, 72, 80),
    voxel_mm=(1.6, 2.0, 1.5),
    detector_offset_mm=(9.0, -14.0),
    volume_centre_mm=(0, 0, 6.0),
)


@pytest.fixture(scope="module")
def mbirjax() -> Iterator[Mbirjax]:
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        pytest.skip(f"MBIRJAX is not installed in {ENVIRONMENT}: run make test-integration")
    with Mbirjax(python) as process:
        yield process


def error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("row_direction", ["+z", "-z"])
def test_its_projections_of_the_phantom_are_the_exact_ones(mbirjax, row_direction):
    """Within the voxels' error, as this package's projector; what is mirrored is at least five times as wrong."""
    geometry = SCAN if row_direction == "+z" else SCAN.flip_rows()
    phantom = asymmetric_phantom(geometry.volume_size_mm)
    volume, exact = voxelise(phantom, geometry), line_integrals(phantom, geometry)
    found = mbirjax.project(volume, geometry)
    assert error(found, exact) < 0.025
    for axis in (1, 2):
        assert error(np.flip(found, axis), exact) > 0.4
    for axis in (0, 1, 2):
        assert error(mbirjax.project(np.flip(volume, axis), geometry), exact) > 0.12


def test_errors_of_the_conversion_would_show(mbirjax):
    phantom = asymmetric_phantom(SCAN.volume_size_mm)
    volume, exact = voxelise(phantom, SCAN), line_integrals(phantom, SCAN)
    numbers = {"angles_rad": SCAN.angles_rad, "sod_mm": 500, "sdd_mm": 800, "detector_shape": SCAN.detector_shape}
    numbers |= {"pixel_mm": SCAN.pixel_mm, "volume_shape": SCAN.volume_shape, "voxel_mm": SCAN.voxel_mm}
    numbers |= {"detector_offset_mm": (9.0, -14.0), "volume_centre_mm": (0, 0, 6.0)}
    wrong = [{"angles_rad": -SCAN.angles_rad}, {"angles_rad": SCAN.angles_rad + np.pi / 2}]
    wrong += [{"detector_offset_mm": (-9.0, -14.0)}, {"detector_offset_mm": (9.0, 14.0)}]
    wrong += [{"volume_centre_mm": (0, 0, -6.0)}, {"pixel_mm": SCAN.pixel_mm[::-1]}]
    for change in wrong:
        assert error(mbirjax.project(volume, circular(**{**numbers, **change})), exact) > 0.1, change


def test_it_reconstructs_the_phantom_in_place(mbirjax):
    angles = np.arange(9) * 2 * np.pi / 9
    geometry = circular(angles, 500, 800, (32, 40), (8.0, 6.4), (32, 24, 28), (4.4, 6.0, 4.8), (9.0, -14.0))
    phantom = asymmetric_phantom(geometry.volume_size_mm)
    expected = voxelise(phantom, geometry)
    projections = torch.from_numpy(line_integrals(phantom, geometry).astype(np.float32))[None]
    parameters = {"sharpness": 0.0, "snr_db": 40.0, "positivity_flag": True}
    volume, seconds = mbirjax.reconstruct(projections, geometry, parameters, {"max_iterations": 10})
    found = volume[0, 0].numpy()
    assert seconds > 0
    assert error(found, expected) < 0.3
    for axis in range(3):
        assert error(np.flip(found, axis), expected) > 1.1 * error(found, expected)


def test_what_it_cannot_do_is_told(mbirjax):
    projections = torch.ones(1, SCAN.num_views, *SCAN.detector_shape)
    with pytest.raises(InputError, match=r"MBIRJAX: failed .*no_such"):
        mbirjax.reconstruct(projections, SCAN, {"no_such": 1.0}, {})
    with pytest.raises(InputError, match="not a circular orbit"):
        mbirjax.project(np.zeros(SCAN.volume_shape), replace(SCAN, volume_centre_mm=(5.0, 0, 0)))


def test_an_environment_without_it_is_told():
    with pytest.raises(InputError, match=r"has no package mbirjax.*Install it with: .* -m pip install mbirjax"):
        Mbirjax(sys.executable)
    with pytest.raises(InputError, match="cannot be run"):
        Mbirjax("no-such-python")

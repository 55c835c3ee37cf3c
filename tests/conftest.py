"""Fixtures shared by all tests: a small anisotropic scan, an asymmetric CT, and the bundle's folders."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"
SMALL = {"encoder_channels": [4, 6], "decoder_channels": 8, "point_channels": [8], "low_resolution": 6}
sys.path.insert(0, str(ROOT))
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:  # the tests' processes share the processors
    torch.set_num_threads(max(1, os.cpu_count() // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])))
    os.environ["OMP_NUM_THREADS"] = str(torch.get_num_threads())  # for processes that tests start
if not torch.cuda.is_available():  # before anything imports Triton, which reads it then
    os.environ["TRITON_INTERPRET"] = "1"

from bundle.checkpoint import save_checkpoint  # noqa: E402
from bundle.networks import DiCE  # noqa: E402
from bundle.phantoms import asymmetric_phantom, voxelise  # noqa: E402
from bundle.presets import ScanPreset, load_preset  # noqa: E402

settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")
LONGEST = ("test_distributed.py", "test_learning.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, so that no process is left with one at the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(autouse=True)
def _seeded():
    """Every test starts from the same random state."""
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture
def scan() -> ScanPreset:
    """A small scan in which every size differs from every other."""
    return ScanPreset(
        name="small",
        sod_mm=500.0,
        sdd_mm=800.0,
        detector_shape=(24, 32),
        pixel_mm=(14.0, 12.0),
        volume_shape=(20, 18, 16),
        voxel_mm=(8.0, 9.0, 10.0),
        hu_window=(-1000.0, 1000.0),
        candidate_views=40,
    )


@pytest.fixture
def phantom(scan: ScanPreset) -> np.ndarray:
    """[x, y, z] asymmetric phantom in [0, 1] on the small scan's grid."""
    volume = voxelise(asymmetric_phantom(scan.geometry([0.0]).volume_size_mm), scan.geometry([0.0]))
    return volume.clip(0, 1)


@pytest.fixture
def ct_file(tmp_path: Path, scan: ScanPreset, phantom: np.ndarray) -> Path:
    """The phantom as a CT on disk, stored in RAS order with an off-centre origin."""
    path = tmp_path / "case.nii.gz"
    write_nifti(path, phantom, scan.voxel_mm, "RAS")
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Random weights of a small network, with its configuration beside them, as convert writes it."""
    overlay = {
        **SMALL,
        "decoder_blocks": 2,
        "codes": 16,
        "denoise_blocks": 0,
        "prior": None,
        "preset": "luna16",
        "detector_shape": [24, 32],
        "volume_shape": [20, 18, 16],
    }
    scan = load_preset("luna16", (24, 32), (20, 18, 16))
    torch.manual_seed(0)
    network = DiCE(scan, **SMALL, quantizer={"codes": 16})
    (tmp_path / "model.json").write_text(json.dumps(overlay))
    save_checkpoint(network.state_dict(), tmp_path / "model.pt")
    return tmp_path / "model.pt"


@pytest.fixture
def ct(tmp_path: Path, phantom: np.ndarray) -> Path:
    """The asymmetric phantom over the preset's field of view, stored in another axis order."""
    write_nifti(tmp_path / "ct.nii.gz", phantom, (409.6 / 20, 409.6 / 18, 409.6 / 16), "SAR")
    return tmp_path / "ct.nii.gz"


def write_nifti(path: Path, unit_lps: np.ndarray, voxel_mm, axcodes: str) -> np.ndarray:
    """Writes a unit volume in LPS order as HU in another axis order; returns its LPS-order RAS affine."""
    affine = np.diag([-voxel_mm[0], -voxel_mm[1], voxel_mm[2], 1.0])
    affine[:3, 3] = (70.0, 65.0, -230.0)
    image = nib.Nifti1Image((unit_lps * 2000 - 1000).astype(np.int16), affine)
    start = nib.orientations.axcodes2ornt("LPS")
    transform = nib.orientations.ornt_transform(start, nib.orientations.axcodes2ornt(axcodes))
    oriented = image.as_reoriented(transform)
    oriented.set_sform(oriented.affine, code=1)
    oriented.set_qform(oriented.affine, code=1)
    nib.save(oriented, path)
    return affine


@pytest.fixture
def in_root(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs the test in the bundle's root, as users do."""
    monkeypatch.chdir(ROOT)
    return ROOT


@pytest.fixture
def child_env() -> dict[str, str]:
    """Environment of child processes: quiet, and with this process's number of threads, as sums depend on it."""
    return {**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": str(torch.get_num_threads())}


@pytest.fixture
def worker_env(child_env: dict[str, str]) -> dict[str, str]:
    """Environment of several processes at once, which find the bundle from anywhere."""
    return {**child_env, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

"""The scripts that draw and compare generated anatomies, at a tiny size."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from bundle.errors import InputError
from scripts import compare_anatomies, draw_anatomies
from scripts.anatomy_samples import grid_of, real_cases, real_reader
from tests.conftest import write_nifti


@pytest.fixture
def folder(tmp_path, scan, phantom):
    """Two chests, one of them with labels, in a folder."""
    path = tmp_path / "real"
    path.mkdir()
    for name in ("chest_a.nii.gz", "chest_b.nii.gz"):
        write_nifti(path / name, phantom, scan.voxel_mm, "RAS")
    write_nifti(path / "chest_a_labels.nii.gz", (phantom > 0.5) * 0.001 + 0.5, scan.voxel_mm, "RAS")
    return path


def test_real_cases_of_a_folder(folder, tmp_path):
    cases = real_cases(folder)
    assert [(case["case"], case["group"], "label" in case) for case in cases] == [
        ("chest_a", "chest", True),
        ("chest_b", "chest", False),
    ]
    with pytest.raises(InputError, match="no CTs"):
        real_cases(tmp_path / "none")


def test_real_volumes_keep_their_side(folder, phantom):
    """Unwarped on the anatomy's grid: the marker of the left stays on the left, in HU."""
    from bundle.data.anatomy.real.augmentation import Augmentation

    hu = real_reader("chest", 52, Augmentation.none())(real_cases(folder)[1]).numpy()
    x = np.arange(52)[:, None, None] - 25.5
    dense = hu > 600
    assert dense.any()
    assert (x * dense).sum() > 0
    assert hu.min() >= -1000


def test_contact_sheets(folder, tmp_path):
    output = tmp_path / "sheets"
    arguments = ["--output", str(output), "--anatomies", "chest", "--real", str(folder), "--count", "3", "--size", "16"]
    draw_anatomies.main(arguments)
    assert sorted(p.name for p in output.iterdir()) == ["chest.png", "real_warped.png"]
    for path in output.iterdir():
        picture = np.asarray(Image.open(path))
        assert picture.ndim == 2
        assert picture.shape[1] == 1794
        assert picture.std() > 10


def test_comparison(folder, tmp_path, capsys):
    output = tmp_path / "statistics"
    compare_anatomies.main(
        ["--real", str(folder), "--output", str(output), "--anatomies", "chest", "--count", "2", "--size", "16"]
    )
    found = json.loads((output / "statistics.json").read_text())["anatomies"]["chest"]
    assert found["real_cases"] == ["chest_a", "chest_b"]
    assert found["distances"]["histogram_hu"] > 0
    assert found["among_real"]["histogram_hu"] == 0  # the same phantom twice
    assert sum(found["generated"]["histogram"]) == pytest.approx(1, abs=1e-3)
    assert "| chest | 2, 2 |" in capsys.readouterr().out
    assert (output / "statistics.png").stat().st_size > 5000


def test_wasserstein_distance_is_the_shift():
    near, far = (compare_anatomies.histogram(np.full(100, hu)) for hu in (10.0, 210.0))
    assert compare_anatomies.wasserstein(near, far) == pytest.approx(200)
    assert compare_anatomies.wasserstein(near, near) == 0


def test_spectrum_finds_a_wave():
    """A wave of 8 mm lies at 0.125 cycles per mm."""
    x = torch.arange(32) * 2.0
    wave = (100 * torch.sin(2 * torch.pi * x / 8))[:, None, None].expand(32, 32, 32).numpy()
    frequency, power = compare_anatomies.spectrum(wave, 2.0)
    assert frequency[power.argmax()] == pytest.approx(0.125, abs=0.02)
    assert compare_anatomies.spectral_db(power, power + 0.3) == pytest.approx(3.0)


def test_grids_have_the_anatomies_fields():
    assert grid_of("knee", 64).geometry([0.0]).volume_size_mm == pytest.approx((204.8,) * 3)
    assert grid_of("chest", 64).geometry([0.0]).volume_size_mm == pytest.approx((409.6,) * 3)

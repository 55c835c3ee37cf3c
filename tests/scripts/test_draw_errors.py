"""The picture of the worst slices, from volumes stored in different orders of axes."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from bundle.errors import InputError
from scripts import draw_errors
from tests.conftest import write_nifti

VOXEL_MM = np.array([4.0, 3.0, 5.0])


@pytest.fixture
def evaluated(tmp_path):
    """A case with something invented at one place and something lost at another, each in its own slice."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(-100, 100, (24, 30, 20)).astype(np.float32)
    wrong = truth.copy()
    wrong[4:8, 20:24, 13] += 900
    wrong[16:19, 6:9, 13] -= 700
    wrong[10:12, 10:12, 4] += 300
    folder = tmp_path / "case"
    folder.mkdir()
    for name, volume, order in (("truth", truth, "RAS"), ("6views", wrong, "SAL"), ("6views_tv", truth, "LPS")):
        write_nifti(folder / f"case_{name}.nii.gz", volume / 1000, VOXEL_MM, order)
    return tmp_path


def test_worst_places():
    difference = np.zeros((10, 12, 8), np.float32)
    difference[2, 9, 5], difference[7, 3, 5], difference[4, 4, 1] = 300, -200, 250
    z, extremes = draw_errors.worst(difference, VOXEL_MM)
    assert z == 5
    assert extremes == {"invents": (2, 9, 300.0), "lacks": (7, 3, -200.0)}


def test_volumes_come_in_one_order(evaluated):
    found, voxel_mm = draw_errors.volumes(evaluated, "case", 6, ["tv"])
    np.testing.assert_allclose(voxel_mm, VOXEL_MM, rtol=1e-5)
    np.testing.assert_allclose(found["tv"], found["truth"], atol=1e-2)
    different = np.argwhere(np.abs(found["deepsparse"] - found["truth"]) > 100)
    assert set(different[:, 2]) == {13, 4}
    with pytest.raises(InputError, match="sart"):
        draw_errors.volumes(evaluated, "case", 6, ["sart"])


def test_picture(evaluated, monkeypatch, tmp_path):
    output = tmp_path / "errors.png"
    monkeypatch.setattr(sys, "argv", ["draw_errors", str(evaluated), "case", "--output", str(output)])
    draw_errors.main()
    assert Image.open(output).size[0] > 900

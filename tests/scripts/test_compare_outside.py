from __future__ import annotations

import argparse
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from bundle.errors import InputError
from bundle.geometry import circular
from bundle.json_files import write_json
from bundle.phantoms import asymmetric_phantom, line_integrals, voxelise
from bundle.presets import load_preset
from scripts import compare_outside as outside
from scripts.outside.settings import SETTINGS
from tests.conftest import ROOT, write_nifti

SIZES = ["--voxels", "16", "--pixels", "16", "--views", "4"]


@pytest.fixture
def data(tmp_path):
    """A data set of one case for each section."""
    scan = load_preset("abdomenatlas", (16, 16), (16, 16, 16))
    geometry = scan.geometry([0.0])
    values = voxelise(asymmetric_phantom(geometry.volume_size_mm), geometry).clip(0, 1)
    for name in ("one", "two"):
        write_nifti(tmp_path / f"{name}.nii.gz", values, scan.voxel_mm, "RAS")
    listing = {"validation": [{"image": "one.nii.gz"}], "test": [{"image": "two.nii.gz"}]}
    write_json(listing, tmp_path / "dataset.json")
    return tmp_path


def test_averaged_pixels_lie_where_they_were():
    geometry = circular(np.arange(3.0), 800, 1200, (24, 32), (16, 12), (8, 8, 8), (40, 40, 40), (5.0, -7.0))
    phantom = asymmetric_phantom((200, 200, 200))
    exact = torch.from_numpy(line_integrals(phantom, geometry))[None]
    found, coarse = outside.averaged(exact, geometry, 2)
    assert coarse.detector_shape == (12, 16)
    assert coarse.pixel_mm == (32, 24)
    expected = torch.from_numpy(line_integrals(phantom, coarse))[None]
    assert float((found - expected).norm() / expected.norm()) < 0.1
    with pytest.raises(InputError, match="Give one that divides them"):
        outside.averaged(exact, geometry, 5)


def test_settings_are_chosen_on_the_one_section_and_told_on_the_other(tmp_path):
    results = outside.Results(tmp_path / "made.csv")
    for section, case, setting, quality in [
        ("validation", "a", "x", 20.0), ("validation", "b", "x", 22.0), ("validation", "a", "y", 23.0),
        ("validation", "b", "y", 21.0), ("test", "c", "y", 19.0), ("test", "d", "y", 20.0),
    ]:  # fmt: skip
        row = {"section": section, "case": case, "views": "6", "method": "rtk", "setting": setting}
        results.add({**row, "psnr_db": str(quality), "seconds": "3"})
    again = outside.Results(tmp_path / "made.csv")
    assert again.rows == results.rows
    assert again.best("validation", "rtk", "6", ["x", "y"]) == ("y", 22.0)
    assert again.best("validation", "rtk", "6", ["x"]) == ("x", 21.0)
    told = outside.table(again, "test", {"rtk": ["x", "y"]}, "validation")
    assert "| 6 | rtk | `y` | 22.00 | 19.50 | 2 | 3.0 |" in told
    with pytest.raises(InputError, match="has no validation results of mbirjax"):
        again.best("validation", "mbirjax", "6", ["x"])


def test_the_scans_are_the_evaluations(data):
    options = argparse.Namespace(data=data, preset="abdomenatlas", views=[4, 5], voxels=16, pixels=32)
    found = list(outside.scans(options, "validation"))
    assert [(scan.case, scan.geometry.num_views) for scan in found] == [("one", 4), ("one", 5)]
    geometry = found[0].geometry
    exact = line_integrals(asymmetric_phantom(geometry.volume_size_mm), geometry)
    assert np.linalg.norm(found[0].projections[0].numpy() - exact) < 0.15 * np.linalg.norm(exact)
    assert found[0].truth.shape == (1, 1, 16, 16, 16)


def test_a_stopped_run_goes_on(data):
    settings = data / "settings.json"
    write_json(
        {"tv": [{"weight_mm": 0.01, "iterations": 5}, {"average": 2, "iterations": 20}], "mbirjax": [{}]}, settings
    )
    output = data / "made.csv"
    command = [sys.executable, "scripts/compare_outside.py", "--data", str(data), "--settings", str(settings)]
    command += ["--output", str(output), *SIZES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "MBIRJAX is left out" in done.stdout
    assert "| 4 | tv |" in done.stdout
    lines = output.read_text().splitlines()
    assert [line.split(",")[:2] for line in lines[1:]] == [["validation", "one"]] * 2 + [["test", "two"]]
    output.write_text("\n".join(lines[:2]) + "\n")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    again = output.read_text().splitlines()
    assert again[:2] == lines[:2]
    assert len(again) == len(lines)


def test_a_missing_mbirjax_is_told_in_one_line(data):
    command = [sys.executable, "scripts/compare_outside.py", "--data", str(data), "--mbirjax_python", sys.executable]
    done = subprocess.run([*command, *SIZES], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode != 0
    assert "-m pip install mbirjax" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_own_setting_is_the_evaluations():
    """Its defaults, for exact scans of a window of 0 to 1: the evaluation adds what it knows of the noise."""
    said = json.loads((ROOT / "configs" / "evaluate.json").read_text())["methods"]["tv"]
    assert SETTINGS["tv"] == [{}]
    assert set(said) == {"_target_", "noise", "mu_water_per_mm", "hu_window"}

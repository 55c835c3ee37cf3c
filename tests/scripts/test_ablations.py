"""The ablations' plan, and a small part of it run."""

from __future__ import annotations

import json
import sys

import pytest

from bundle.tables import read_rows
from scripts import ablations
from tests.conftest import write_nifti
from tests.workflows import SIZES

TINY = {**SIZES, "anatomies": {"knee": 1}}


@pytest.fixture
def data_set(tmp_path, scan, phantom):
    """Four training cases, one to validate and one to test with."""
    names = [f"case{i}.nii.gz" for i in range(6)]
    (tmp_path / "set").mkdir()
    for i, name in enumerate(names):
        write_nifti(tmp_path / "set" / name, phantom * (1 - 0.1 * i), scan.voxel_mm, "RAS")
    cases = [{"image": name} for name in names]
    listing = {"training": cases[:4], "validation": cases[4:5], "test": cases[5:]}
    (tmp_path / "set" / "dataset.json").write_text(json.dumps(listing))
    return tmp_path / "set"


def test_every_training_starts_from_an_earlier_one_and_every_row_has_one():
    trainings, rows = ablations.plan()
    names = [training.name for training in trainings]
    assert len(set(names)) == len(names)
    for i, training in enumerate(trainings):
        assert training.start is None or training.start in names[:i]
        assert training.stage != "finetune_step2" or training.start
    scored = {(training.name, views) for training in trainings for views in training.view_counts}
    assert {(row.training, row.views) for row in rows} <= scored


def test_small_part(tmp_path, monkeypatch, capsys, data_set):
    """Run, stopped and gone on with: finished trainings and scores stay as they are."""
    trainings, rows = ablations.plan()
    wanted = ["pretrain", "step1_0.5", "step2_0.5", "scratch_0.5", "step1_views_mixed", "step2_views_mixed", "averaged"]
    part = [training for training in trainings if training.name in wanted]
    monkeypatch.setattr(ablations, "plan", lambda: (part, [row for row in rows if row.training in wanted]))
    arguments = ["ablations", "--dataset_dir", str(data_set), "--output", str(tmp_path / "out"), "--epochs", "1"]
    arguments += ["--items", "8", "--changes", json.dumps(TINY)]
    monkeypatch.setattr(sys, "argv", arguments)
    ablations.main()
    printed = capsys.readouterr().out
    table = printed[printed.index("| training cases |") :].strip().splitlines()
    assert [line.split(" | ")[0] for line in table[2:4]] == ["| half, from scratch", "| half, all stages"]
    listing = json.loads((tmp_path / "out" / "seed0" / "scratch_0.5" / "dataset.json").read_text())
    assert [len(listing[name]) for name in ("training", "validation", "test")] == [2, 1, 1]
    written = (tmp_path / "out" / "results.csv").read_text()
    results = read_rows(tmp_path / "out" / "results.csv")
    expected = [(training.name, str(views)) for training in part for views in training.view_counts]
    assert [(row["training"], row["views"]) for row in results] == expected
    assert all(row["cases"] == "1" and 0 < float(row["psnr_db"]) < 60 for row in results)
    weights = tmp_path / "out" / "seed0" / "step2_0.5" / "weights.pt"
    before = weights.stat().st_mtime_ns
    ablations.main()
    assert weights.stat().st_mtime_ns == before
    assert (tmp_path / "out" / "results.csv").read_text() == written


def test_table_of_several_seeds():
    row = ablations.Row("design", "one", 29.69, "a")
    results = [{"training": "a", "seed": s, "views": 6, "psnr_db": 20.0 + s, "ssim_3d": 0.5} for s in (0, 2)]
    assert "| one | 21.00 ± 1.41 | 0.500 ± 0.000 | 29.69 |" in ablations.tables([row], results)

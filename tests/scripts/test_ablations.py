"""The ablations' plan, and a small part of it run."""

from __future__ import annotations

import json
import sys

import filelock
import pytest
from monai.bundle import ConfigParser

from bundle.errors import InputError
from bundle.tables import read_rows, write_rows
from scripts import ablations
from scripts.ablation_plan import TABLES, Row, Training, part_of, plan, tables
from tests.conftest import ROOT, write_nifti
from tests.workflows import SIZES

TINY = {**SIZES, "low_resolution": 8, "anatomies": {"knee": 1}}


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
    trainings, rows = plan()
    assert tuple(dict.fromkeys(row.table for row in rows)) == TABLES
    names = [training.name for training in trainings]
    assert len(set(names)) == len(names)
    for i, training in enumerate(trainings):
        assert training.start is None or training.start in names[:i]
        assert training.stage != "finetune_step2" or training.start
    scored = {(training.name, views) for training in trainings for views in training.view_counts}
    assert {(row.training, row.views) for row in rows} <= scored


def test_every_stage_has_the_views_of_the_paper():
    """The settings of the ablations come last, and must not replace a stage's own."""
    views = {}
    for stage, overlay in ablations.OVERLAY.items():
        parser = ConfigParser()
        parser.read_config([str(ROOT / file) for file in (ablations.TRAIN, *overlay, ablations.ABLATION)])
        views[stage] = parser.get_parsed_content("num_sparse"), parser.get_parsed_content("num_total")
    assert views == {
        "pretrain": (list(range(6, 25)), 24),
        "finetune_step1": (6, 24),
        "finetune_step2": (6, 24),
        "scratch": (6, None),
    }


def test_a_table_brings_what_its_trainings_start_from():
    trainings, rows = part_of(*plan(), ["training cases"])
    assert {row.table for row in rows} == {"training cases"}
    names = [training.name for training in trainings]
    assert names[:4] == ["scratch", "pretrain", "step1", "step2"]
    assert "scales3" not in names
    assert "step1_0.2" in names


def test_small_part(tmp_path, monkeypatch, capsys, data_set):
    """Run, stopped and gone on with: finished trainings and scores stay as they are."""
    trainings, rows = ablations.plan()
    wanted = ["pretrain", "step1_0.5", "step2_0.5", "scratch_0.5", "step1_views_mixed", "step2_views_mixed"]
    wanted += ["codebooks", "gradient", "constant1e-3", "averaged", "prior_fdk", "prior_alone"]
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
    tables_alone = capsys.readouterr().out
    assert tables_alone.startswith("| ")
    assert printed.endswith(tables_alone)
    assert weights.stat().st_mtime_ns == before
    assert (tmp_path / "out" / "results.csv").read_text() == written
    monkeypatch.setattr(sys, "argv", ["ablations", "--results", str(tmp_path / "out" / "results.csv")])
    ablations.main()
    assert capsys.readouterr().out == tables_alone
    monkeypatch.setattr(sys, "argv", [*arguments, "--epochs", "2"])
    with pytest.raises(InputError, match="Choose another --output"):
        ablations.main()


def test_what_a_table_varies_goes_before_what_all_have(tmp_path, data_set, monkeypatch):
    given = {}
    monkeypatch.setattr(ablations, "run", lambda files, run_id, **settings: given.update({run_id: settings}))
    changes = {"low_resolution": 16, "codes": 8, "items_per_epoch": 8, "max_epochs": 1}
    finer = Training("r40", "scratch", changes={"low_resolution": 40})
    ablations.train(finer, 0, tmp_path, str(data_set), changes)
    ablations.evaluate(finer, 0, tmp_path, str(data_set), changes)
    for settings in (given["training"], given["evaluating"]):
        assert (settings["low_resolution"], settings["codes"]) == (40, 8)


def test_two_processes_share_the_trainings(tmp_path, monkeypatch):
    """What one is at the other leaves, with what starts from it, and goes on when that is finished."""
    ours, other = [], ("pretrain",)
    locks, finished = tmp_path / ".locks", set()
    locks.mkdir()
    monkeypatch.setattr(ablations, "train", lambda training, *_: ours.append(training.name))
    monkeypatch.setattr(ablations, "evaluate", lambda training, *_: None)
    monkeypatch.setattr(ablations, "scores_of", lambda training, *_: training.name in finished)
    lock = filelock.FileLock(locks / "seed0-pretrain.lock")
    lock.acquire()

    def other_finishes(_seconds):
        lock.release()
        finished.update(other)

    monkeypatch.setattr(ablations.time, "sleep", other_finishes)
    trainings, _ = ablations.plan()
    ablations.work(trainings, [0], tmp_path, "", 1, {})
    assert sorted([*ours, *other]) == sorted(training.name for training in trainings)
    started_from_it = {"step1", "step2", "pretrain_step2", "step1_0.5", "step2_views_mixed"}
    assert started_from_it <= set(ours[-len(trainings) // 2 :])
    assert ours.index("step1") > ours.index("averaged")


def test_scores_of_some_cases_are_not_finished(tmp_path):
    training = Training("a", "scratch", view_counts=(6, 8))
    rows = [{"views": v, "psnr_db": 20.0 + v, "ssim_3d": 0.5} for v in (6, 6, 8)]
    table = tmp_path / "seed0" / "a" / "test" / "metrics.csv"
    table.parent.mkdir(parents=True)
    write_rows(rows, table)
    assert ablations.scores_of(training, 0, tmp_path, 2) == []
    write_rows([*rows, {"views": 8, "psnr_db": 30.0, "ssim_3d": 0.7}], table)
    scores = ablations.scores_of(training, 0, tmp_path, 2)
    assert [(score["views"], score["cases"], score["psnr_db"]) for score in scores] == [(6, 2, 26.0), (8, 2, 29.0)]


def test_documented_tables_are_of_the_kept_results():
    """Those of which every row was run, and no others."""
    documented = (ROOT / "docs" / "reproduce.md").read_text().split("\n\n")
    made = tables(plan()[1], read_rows(ROOT / "docs" / "ablations.csv")).split("\n\n")
    assert len(made) == len(TABLES)
    finished = [table for table in made if "not run" not in table]
    assert finished
    headings = [table.splitlines()[0] for table in made]
    assert [block for block in documented if block.splitlines() and block.splitlines()[0] in headings] == finished


def test_table_of_several_seeds():
    row = Row("design", "one", 29.69, "a")
    results = [{"training": "a", "seed": s, "views": 6, "psnr_db": 20.0 + s, "ssim_3d": 0.5} for s in (0, 2)]
    assert "| one | 21.00 ± 1.41 | 0.500 ± 0.000 | 29.69 |" in tables([row], results)
    assert "| one | not run | not run | 29.69 |" in tables([row], [])

"""configs/evaluate_segmentation.json, on volumes that are there and on ones that it reconstructs."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from bundle.checkpoint import save_checkpoint
from bundle.tables import read_rows, write_rows
from tests.conftest import ROOT
from tests.evaluation.volumes import chest, labels, save
from tests.workflows import DEMO, TRAIN, command_line, refused, run, small, workflow

CONFIG = "configs/evaluate_segmentation.json"
EVALUATE = [str(ROOT / name) for name in (TRAIN, "configs/evaluate.json", DEMO)]


@pytest.fixture
def settings(tmp_path) -> dict:
    """Settings for two chests with two reconstructions each, one of which lost a lung, and labels."""
    for case in ("one", "two"):
        save(chest(), tmp_path / "volumes" / case / f"{case}_truth.nii.gz")
        save(chest(shift=1), tmp_path / "volumes" / case / f"{case}_6views.nii.gz")
        save(chest(left=case == "one"), tmp_path / "volumes" / case / f"{case}_6views_fdk.nii.gz")
        save(labels(chest()), tmp_path / "data" / f"{case}_labels.nii.gz", "RAS")
        save(chest(), tmp_path / "data" / f"{case}.nii.gz", "RAS")
    listing = {
        "labels": {"1": "right lung", "2": "left lung"},
        "test": [{"image": f"{case}.nii.gz", "label": f"{case}_labels.nii.gz"} for case in ("one", "two")],
    }
    (tmp_path / "data" / "dataset.json").write_text(json.dumps(listing))
    residual = {"view": 0, "angle_deg": 0.0, "rms_mm": 1.0, "relative": 0.1, "bias_mm": 0.0, "noise_ratio": ""}
    rows = [{"case": "one", "method": "fdk", "views": 6, **residual}]
    write_rows(rows, tmp_path / "volumes" / "residuals.csv")
    return {
        "bundle_root": str(ROOT),
        "volumes": str(tmp_path / "volumes"),
        "dataset_dir": str(tmp_path / "data"),
        "output_dir": str(tmp_path / "out"),
        "hu_window": [-1000, 1000],
    }


def evaluate(**changes):
    return run([CONFIG], "evaluating", **changes).parser.get_parsed_content("evaluation")


def test_volumes_that_are_there(settings, tmp_path):
    evaluate(**settings)
    out = tmp_path / "out"
    rows = read_rows(out / "structures.csv")
    assert len(rows) == 2 * 2 * 2 * 2  # cases, methods, references, lungs
    lost = [row for row in rows if row["found"] == "reference only"]
    assert {(row["case"], row["method"], row["structure"]) for row in lost} == {("two", "fdk", "left lung")}
    assert {(row["dice"], row["hd95_mm"]) for row in lost} == {("0.0", "")}
    # The offline lung mask finds the boxes, and the given labels are met in the patient's frame.
    same = [row for row in rows if row["method"] == "fdk" and row["case"] == "one"]
    assert all(float(row["dice"]) == 1.0 for row in same if row["reference"] == "segmented")
    assert all(float(row["dice"]) > 0.97 for row in same if row["reference"] == "labels")
    (summary,) = [
        row
        for row in read_rows(out / "summary.csv")
        if (row["method"], row["reference"], row["structure"], row["metric"])
        == ("fdk", "segmented", "left lung", "hd95_mm")
    ]
    assert (summary["n"], summary["undefined"], float(summary["mean"])) == ("1", "1", 0.0)

    report = json.loads((out / "report.json").read_text())
    assert report["settings"]["segmenter"]["segmenter"] == "lung_threshold"
    assert len(report["residuals"]) == 1
    assert any(
        "No left lung was found in 1 of 2 reconstructions by fdk (1 from 6 views)" in p for p in report["problems"]
    )
    assert "No left lung was found" in (out / "report.html").read_text()
    assert set(report["settings"]["truths (SHA-256)"]) == {"one", "two"}


def test_an_earlier_report_is_kept_unless_it_may_be_replaced(settings):
    evaluate(**settings)
    with refused("report.html: exists already"):
        evaluate(**settings)
    evaluate(**settings, overwrite=True)


def test_a_killed_run_goes_on(settings, tmp_path):
    """What was segmented and scored is read again: the files stay as they are."""
    evaluate(**settings)
    wanted = {name: (tmp_path / "out" / name).read_text() for name in ("structures.csv", "quality.csv", "summary.csv")}
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "masks").rglob("*.nii.gz")}
    gone = next(path for path in made if path.name.endswith("6views_fdk.nii.gz"))
    gone.unlink()
    cut = next(path for path in made if path.name == "two_6views_deepsparse.nii.gz")
    whole = cut.read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    (tmp_path / "out" / "report.html").unlink()
    for table in (tmp_path / "out").glob("*.csv"):
        table.unlink()
    (tmp_path / "out" / "report.json").unlink()
    evaluate(**settings)
    assert {name: (tmp_path / "out" / name).read_text() for name in wanted} == wanted
    assert gzip.decompress(cut.read_bytes()) == gzip.decompress(whole)
    unchanged = [path for path in made if path not in (gone, cut) and "labels" not in path.name]
    assert all(path.stat().st_mtime_ns == made[path] for path in unchanged)


def test_volumes_have_the_labels_of_no_data_set_but_a_named_one(settings, tmp_path):
    """Not of the sample, which is what is reconstructed where nothing is given."""
    rows = [
        {
            "case": "one",
            "method": "fdk",
            "views": 6,
            "volume": str(tmp_path / "volumes" / "one" / "one_6views_fdk.nii.gz"),
            "truth": str(tmp_path / "volumes" / "one" / "one_truth.nii.gz"),
            "labels": str(tmp_path / "data" / "one_labels.nii.gz"),
        }
    ]
    write_rows(rows, tmp_path / "table.csv")
    changes = {**settings, "volumes": str(tmp_path / "table.csv"), "method": "fdk"}
    del changes["dataset_dir"]
    evaluate(**changes)
    assert {row["reference"] for row in read_rows(tmp_path / "out" / "structures.csv")} == {"segmented"}
    problems = json.loads((tmp_path / "out" / "report.json").read_text())["problems"]
    assert any("label_structures can" in problem for problem in problems)
    evaluate(**changes, label_structures={"right lung": [1], "left lung": [2]}, overwrite=True)
    labelled = [row for row in read_rows(tmp_path / "out" / "structures.csv") if row["reference"] == "labels"]
    assert len(labelled) == 2
    assert all(float(row["dice"]) > 0.97 for row in labelled)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hu_window": None}, "hu_window: is not given, and volumes do not tell it"),
        ({"segmenter": "lungs"}, "segmenter.*'lungs'.*lung_threshold"),
        ({"segmenter": "lungmask", "segmenter_options": {"weights": "none.pth"}}, r"none.pth"),
        ({"segmenter_options": {"speed": 1}}, "segmenter_options: has speed, which lung_threshold does not take"),
        (
            {"label_structures": {"liver": [1]}},
            "label_structures: names liver. Name some of the segmenter's: right lung",
        ),
        ({"label_structures": {"right lung": [1]}, "dataset_dir": "@bundle_root"}, "dataset_dir .*has no"),
        ({"perturbations": {"noise": [1e5]}}, "perturbations: need scans to perturb"),
        (
            {"volumes": None, "method": "magic"},
            "method: is 'magic', which reconstructed nothing. Use deepsparse or fdk",
        ),
        ({"volumes": None, "perturbations": {"missing_views": [6]}}, "perturbations.missing_views: leaves none of 6"),
        ({"changes": {"volume_shap": [8]}}, "changes.volume_shap: is no setting"),
        ({"changes": "fast"}, "changes: is 'fast'"),
        ({"hu_window": [1024, -1000]}, "hu_window: is .*. Give two numbers, the lower first"),
        ({"hu_window": ["a", 2]}, "hu_window: is"),
        ({"max_pictures": "a"}, "max_pictures: is 'a'"),
        ({"segmenter_options": "threshold_hu=-500"}, "segmenter_options"),
        ({"volumes": "nowhere"}, "volumes nowhere: is neither a folder nor a CSV file"),
    ],
)
def test_refused(settings, changes, message):
    with refused(message):
        evaluate(**{**settings, **changes})


def test_any_method_can_be_in_focus(settings, tmp_path):
    evaluate(**settings, method="fdk")
    rows = read_rows(tmp_path / "out" / "comparisons.csv")
    assert {(row["method"], row["other"]) for row in rows} == {("fdk", "deepsparse")}


def test_a_method_in_focus_that_reconstructed_nothing_is_refused(settings, tmp_path):
    files = {"volume": "volumes/one/one_6views_fdk.nii.gz", "truth": "volumes/one/one_truth.nii.gz"}
    write_rows([{"case": "one", "method": "fdk", "views": 6, **files}], tmp_path / "list.csv")
    with refused("method: is 'deepsparse', which reconstructed nothing. Use fdk"):
        evaluate(**{**settings, "volumes": str(tmp_path / "list.csv")})


def test_labels_with_unknown_classes_are_refused(settings, tmp_path):
    strange = labels(chest())
    strange[0, 0, 0] = 7
    save(strange, tmp_path / "data" / "two_labels.nii.gz")
    with refused(r"two_labels.nii.gz: has classes \[7\] that belong to no structure"):
        evaluate(**settings)


def test_the_one_command_reconstructs_segments_and_reports(tmp_path, in_root, child_env):
    """As the documentation runs it, with an untrained network at a small size."""
    changes = small(tmp_path)
    parsed = workflow(EVALUATE, "evaluating", **changes).parser
    Path(changes["models_dir"]).mkdir()
    state = {"network": parsed.get_parsed_content("network_def").state_dict()}
    save_checkpoint(state, Path(changes["models_dir"]) / "model.pt")
    changes.pop("output_dir")
    options = {
        "configs": EVALUATE,
        "changes": {**changes, "methods": {"fdk": {"_target_": "bundle.classical.FDK"}}, "refinements": {}},
        "view_counts": [6],
        "output_dir": str(tmp_path / "out"),
        "perturbations": {"noise": [1e3], "missing_views": [2]},
    }
    command = [sys.executable, "-m", "monai.bundle", "run", "evaluating", "--config_file", CONFIG]
    done = subprocess.run([*command, *command_line(options)], capture_output=True, text=True, env=child_env)
    assert done.returncode == 0, done.stderr[-2000:]
    quality = read_rows(tmp_path / "out" / "quality.csv")
    assert [(row["method"], row["perturbation"]) for row in quality] == [
        (method, name) for name in ("none", "noise", "missing_views") for method in ("deepsparse", "fdk")
    ]
    assert len({row["weights"] for row in quality if row["method"] == "deepsparse"}) == 1
    assert all(row["geometry"] for row in quality)
    assert {row["reference"] for row in read_rows(tmp_path / "out" / "structures.csv")} == {"segmented", "labels"}
    assert "missing views" in (tmp_path / "out" / "report.html").read_text()
    assert read_rows(tmp_path / "out" / "reconstructions" / "none" / "residuals.csv")

    again = subprocess.run([*command, *command_line(options)], capture_output=True, text=True, env=child_env)
    assert again.returncode == 1
    assert again.stderr.strip().splitlines()[-1].startswith(f"error: {tmp_path}/out/report.html: exists already.")

"""Every data set from its download to a row of results: prepared, trained on and evaluated."""

from __future__ import annotations

import json

import pytest

from bundle.datasets import DATASETS
from bundle.prepare_command import prepare
from bundle.tables import read_rows
from tests.conftest import ROOT
from tests.datasets.replicas import make_replica
from tests.workflows import DEMO, TRAIN, run, small

CASES = {"panorama": 6, "pengwin": 4, "knee": 12}
EVALUATE = [TRAIN, "configs/evaluate.json", DEMO]


@pytest.mark.parametrize("dataset", DATASETS)
def test_from_download_to_results(tmp_path, dataset):
    source = make_replica(dataset, tmp_path, CASES.get(dataset, 4))
    output = tmp_path / "prepared"
    sizes = {"volume_shape": [16, 16, 16], "detector_shape": [16, 16]}
    prepare(dataset, str(source), str(output), workers=1, **sizes)
    listed = json.loads((output / "dataset.json").read_text())
    assert {row["status"] for row in read_rows(output / "report.csv")} == {"prepared"}
    section = "validation" if dataset == "abdomenatlas" else "test"  # it has none for tests
    assert listed["training"]
    assert listed[section]

    common = {"dataset_dir": str(output), "preset": DATASETS[dataset].preset, "batch_size": 1}
    settings = small(tmp_path, **common, cases_repeated=2, num_workers=0)
    done = run([TRAIN, DEMO], **settings)
    assert done.trainer.state.iteration >= 2
    results = {"checkpoint": f"{settings['models_dir']}/pretrain.pt", "denoise_blocks": 0, "section": section}
    run(EVALUATE, "evaluating", **{**settings, **results}, view_counts=[6], refinements={"deepsparse+sart": None})
    rows = read_rows(tmp_path / "out" / "metrics.csv")
    assert {row["case"] for row in rows} == {item["case"] for item in listed[section]}
    assert {row["split"] for row in rows} == {listed["split"]["checksum"]}
    assert {row["method"] for row in rows} == {"deepsparse", "fdk", "sart", "cgls", "tv"}


SHARED = ROOT.parent / "shared" / "data"


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the real CTs beside the project")
def test_real_cts(tmp_path):
    output = tmp_path / "prepared"
    sizes = {"volume_shape": [32, 32, 32], "detector_shape": [16, 16]}
    prepare("folder", str(SHARED), str(output), workers=2, keep_labels=True, candidate_projections=False, **sizes)
    rows = {row["case"]: row for row in read_rows(output / "report.csv")}
    expected = {path.name.removesuffix(".nii.gz") for path in SHARED.rglob("*.nii.gz")}
    assert set(rows) == {name for name in expected if not name.endswith("_labels")}
    assert {row["status"] for row in rows.values()} == {"prepared"}

from __future__ import annotations

import json

import pytest

from bundle.data.datalist import load_datalist
from bundle.errors import InputError
from bundle.prepare_command import prepare
from bundle.tables import read_rows
from tests.datasets.replicas import make_replica

SMALL = {"volume_shape": [16, 16, 16], "detector_shape": [12, 14], "candidate_projections": False, "workers": 1}


def test_a_set_with_a_damaged_case(tmp_path, capsys):
    source = make_replica("panorama", tmp_path / "raw", cases=3)
    label = next((source / "labels").iterdir())
    damaged = "999_00001"
    (source / "labels" / f"{damaged}.nii.gz").write_bytes(label.read_bytes())
    (source / "images" / f"{damaged}_0000.nii.gz").write_bytes(b"\x1f\x8b\x08")
    out = tmp_path / "out"
    with pytest.raises(InputError, match=r"report\.csv: 1 of 4 cases could not be prepared\. 999_00001: .*repeat"):
        prepare("panorama", str(source), str(out), **SMALL)
    told = capsys.readouterr().out
    assert "cases: 3 prepared, 0 skipped, 1 failed, 0 left out" in told
    rows = {row["case"]: row for row in read_rows(out / "report.csv")}
    assert rows[damaged]["status"] == "failed"
    assert f"{damaged}_0000.nii.gz" in rows[damaged]["error"]
    finished = [row for row in rows.values() if row["status"] == "prepared"]
    assert all(float(row["peak_rss_mb"]) > 50 and float(row["seconds"]) > 0 for row in finished)
    for row in finished:
        files = [path for path in (out / "cases" / row["case"]).iterdir() if path.is_file()]
        assert int(row["bytes"]) == sum(path.stat().st_size for path in files)
    sections = [load_datalist(out, name) for name in {row["split"] for row in finished}]
    assert sorted(item["case"] for items in sections for item in items) == sorted(row["case"] for row in finished)
    assert json.loads((out / "prepare.json").read_text())["volume_shape"] == [16, 16, 16]

    planned = json.loads((out / "split.json").read_text())
    for name in ("training", "validation", "test"):
        planned[name] = [case for case in planned[name] if case != damaged]
    (tmp_path / "own.json").write_text(json.dumps(planned))
    with pytest.raises(InputError, match=r"another split.*fewer, such as 999_00001"):
        prepare("panorama", str(source), str(out), split=str(tmp_path / "own.json"), **SMALL)
    with pytest.raises(InputError, match=r"other settings: precision 'uint16' \(now 'float16'\)"):
        prepare("panorama", str(source), str(out), precision="float16", **SMALL)


def test_wrong_names_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match=r"dataset: is 'mnist'.*Use one of luna16"):
        prepare("mnist", str(tmp_path / "raw"), str(tmp_path / "out"))
    with pytest.raises(InputError, match="preset 'none'"):
        prepare("folder", str(tmp_path / "raw"), str(tmp_path / "out"), preset="none")
    with pytest.raises(InputError, match="is not a folder"):
        prepare("folder", str(tmp_path / "raw"), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()

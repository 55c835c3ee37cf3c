from __future__ import annotations

import json
import math

import pytest

from bundle.errors import InputError
from bundle.report import REPORT, write, write_report
from bundle.report.write import REPORT_FILES
from bundle.tables import read_rows
from tests.report.examples import make_findings, make_picture, save_volumes


def test_all_files_are_written_and_hold_all_rows(tmp_path):
    paths = save_volumes(tmp_path / "volumes")
    findings = make_findings([make_picture(paths)])
    findings.quality[0]["psnr_db"] = math.inf
    write_report(findings, tmp_path / "out", max_pictures=1)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(REPORT_FILES)
    record = json.loads((tmp_path / "out" / "report.json").read_text())
    assert record["quality"][0]["psnr_db"] == "inf"
    assert read_rows(tmp_path / "out" / "quality.csv")[0]["psnr_db"] == "inf"
    assert record["quality"][1:] == findings.quality[1:]
    assert record["agreement"] == findings.agreement
    assert record["settings"] == findings.settings
    assert record["pictures"][0]["volume"] == str(paths[1])
    table = read_rows(tmp_path / "out" / "structures.csv")
    assert len(table) == len(findings.structures) == 24
    assert table[2]["found"] == "reference only"
    assert table[2]["assd_mm"] == ""
    assert float(table[0]["dice"]) == findings.structures[0]["dice"]


def test_existing_reports_are_kept_unless_told(tmp_path):
    (tmp_path / REPORT).write_text("mine")
    with pytest.raises(InputError, match=r"report\.html: exists already"):
        write_report(make_findings(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [REPORT]
    write_report(make_findings(), tmp_path, overwrite=True)
    assert read_rows(tmp_path / "agreement.csv")[0]["bias_ml"] == "-140.04"


def test_a_killed_run_leaves_no_report_and_can_be_repeated(tmp_path, monkeypatch):
    def kill(*_):
        raise KeyboardInterrupt

    write_report(make_findings(title="old"), tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(write, "write_json", kill)
        with pytest.raises(KeyboardInterrupt):
            write_report(make_findings(title="new"), tmp_path, overwrite=True)
    assert not (tmp_path / REPORT).exists()
    assert (tmp_path / "quality.csv").exists()
    write_report(make_findings(title="new"), tmp_path)
    assert "<h1>new</h1>" in (tmp_path / REPORT).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [("quality", "psnr_db", "high"), ("summary", "views", "six"), ("agreement", "n", None)],
)
def test_what_is_no_number_is_named_before_anything_is_written(tmp_path, table, column, value):
    findings = make_findings()
    getattr(findings, table)[0][column] = value
    with pytest.raises(InputError, match=f"row 1 of the table {table}: has {value!r} as {column}"):
        write_report(findings, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_incomplete_rows_are_named_before_anything_is_written(tmp_path):
    findings = make_findings()
    del findings.structures[1]["found"]
    with pytest.raises(InputError, match="row 2 of the table structures: lacks found"):
        write_report(findings, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_pictures_are_named_before_anything_is_written(tmp_path):
    paths = save_volumes(tmp_path / "volumes")
    paths[3].unlink()
    with pytest.raises(InputError, match=r"mask\.nii\.gz: does not exist"):
        write_report(make_findings([make_picture(paths)]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_that_are_no_text_can_be_written(tmp_path):
    findings = make_findings(title="caf\udce9")
    for row in findings.quality:
        row["case"] += "\udce9"
    write_report(findings, tmp_path)
    assert "caf\\udce9" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert read_rows(tmp_path / "quality.csv")[0]["case"] == "a\\udce9"

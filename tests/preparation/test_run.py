from __future__ import annotations

import json
import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bundle.data.datalist import load_datalist
from bundle.errors import InputError
from bundle.preparation.output_folder import check_folders
from bundle.preparation.run import prepare_cases
from bundle.tables import read_rows
from tests.preparation.fake_case import FakeCase, FakeSettings, contents, journal, make_source, sources, work
from tests.preparation.runs import run

NAMES = ["a", "b", "dieonce", "dies", "parts", "raises"]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Cases of all kinds, prepared once: folder, cases, summary and what was told."""
    folder = tmp_path_factory.mktemp("mixed")
    cases = make_source(folder / "raw", NAMES)
    cases.append(replace(cases[0], name="../evil", problem=InputError("../evil", "is no name.", "Rename it.")))
    cases += [replace(cases[0], name="twin", path=folder / "raw" / f"{letter}.txt") for letter in "ab"]
    (folder / "split.json").write_text(
        json.dumps(
            {"training": ["a", "raises", "dies", "parts"], "test": ["dieonce", "../evil"], "validation": ["twin"]}
        )
    )
    cases = [replace(case, patient=case.name) for case in cases]
    summary = run(
        cases, folder / "raw", folder / "out", FakeSettings(str(folder / "journal")), split=folder / "split.json"
    )
    return folder, cases, summary


def test_every_case_has_its_row(mixed):
    folder, _, summary = mixed
    rows = read_rows(folder / "out" / "report.csv")
    assert list(rows[0]) == [
        "case", "patient", "split", "status", "items", "seconds", "bytes", "peak_rss_mb", "error"
    ]  # fmt: skip
    assert [(row["case"], row["split"], row["status"], row["items"]) for row in rows] == [
        ("a", "training", "prepared", "1"),
        ("b", "", "left out", "0"),
        ("dieonce", "test", "prepared", "1"),
        ("dies", "training", "failed", "0"),
        ("parts", "training", "prepared", "3"),
        ("raises", "training", "failed", "0"),
        ("../evil", "test", "failed", "0"),
        ("twin", "validation", "failed", "0"),
        ("twin", "validation", "failed", "0"),
    ]
    told = {row["case"]: row["error"] for row in rows}
    assert told["b"] == "not in the split"
    assert told["dies"].startswith("its worker process died, probably for lack of memory.")
    assert told["raises"] == "KeyError: 'no such\\nkey'"
    assert told["../evil"] == "../evil: is no name. Rename it."
    assert told["twin"] == "2 cases have this name. Rename all but one."
    assert rows[0]["bytes"] == str(len(b"a 1 0"))
    assert summary.counts == {"prepared": 3, "skipped": 0, "failed": 5, "left out": 1}
    assert [case for case, _ in summary.failures] == ["dies", "raises", "../evil", "twin", "twin"]


def test_the_case_that_kills_its_worker_is_tried_twice(mixed):
    told = journal(mixed[0] / "journal")
    assert told.count(("start", "dies")) == told.count(("start", "dieonce")) == 2
    assert told.count(("start", "a")) == told.count(("start", "raises")) == 1


def test_datalist_has_the_finished_items(mixed):
    folder = mixed[0]
    listed = json.loads((folder / "out" / "dataset.json").read_text())
    assert listed["name"] == "fake"
    assert listed["validation"] == []
    assert listed["test"] == [{"image": "cases/dieonce", "case": "dieonce", "patient": "dieonce"}]
    assert [item["case"] for item in listed["training"]] == ["a", "parts_part1", "parts_part2", "parts_part3"]
    assert {item["patient"] for item in listed["training"]} == {"a", "parts"}
    planned = json.loads((folder / "out" / "split.json").read_text())
    assert listed["split"]["planned_checksum"] == planned["checksum"] != listed["split"]["checksum"]
    assert listed["split"]["checksum"] == mixed[2].checksum
    assert listed["split"]["missing"] == ["../evil", "dies", "raises", "twin"]
    loaded = load_datalist(folder / "out", "training")
    assert loaded[1]["case"] == "parts_part1"
    assert Path(loaded[1]["image"]) == folder / "out" / "cases" / "parts_part1"


def test_nothing_is_left_or_written_elsewhere(mixed):
    folder = mixed[0]
    assert sorted(path.name for path in folder.iterdir()) == ["journal", "out", "raw", "split.json"]
    assert not list((folder / "out" / ".unfinished").iterdir())
    assert sorted(path.name for path in (folder / "out" / "records").iterdir()) == [
        "a.json", "dieonce.json", "parts.json"
    ]  # fmt: skip


def test_mended_cases_are_all_that_is_done_again(mixed, tmp_path):
    """A failed case that can be prepared after all completes the set."""
    folder, cases, _ = mixed
    shutil.copytree(folder / "out", tmp_path / "out")
    stamp = (tmp_path / "out" / "cases" / "a" / "data.bin").stat().st_mtime_ns
    (tmp_path / "out" / "cases" / "parts_part2" / "data.bin").write_bytes(b"parts 1 7")
    kept = [case for case in cases if case.problem is None and case.name not in ("twin", "b", "raises", "dies")]
    (tmp_path / "out" / "split.json").write_text(json.dumps({"training": ["a", "parts"], "test": ["dieonce"]}))
    settings = FakeSettings(str(tmp_path / "journal"))
    summary = run(kept, folder / "raw", tmp_path / "out", settings, split=tmp_path / "out" / "split.json", workers=1)
    assert summary.counts == {"prepared": 1, "skipped": 2, "failed": 0, "left out": 0}
    assert {name for _, name in journal(tmp_path / "journal")} == {"parts"}
    assert (tmp_path / "out" / "cases" / "a" / "data.bin").stat().st_mtime_ns == stamp
    listed = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert listed["split"]["missing"] == []
    mended = (tmp_path / "out" / "cases" / "parts_part2" / "data.bin").read_bytes()
    assert mended == (folder / "out" / "cases" / "parts_part2" / "data.bin").read_bytes() == b"parts" * 5 + b" 1 1"


def test_a_full_disk_stops_the_rest_and_loses_nothing(tmp_path, capfd):
    cases = make_source(tmp_path / "raw", ["a", "full", "x", "y", "z"])
    summary = run(cases, tmp_path / "raw", tmp_path / "out", FakeSettings(str(tmp_path / "journal")), workers=1)
    told = dict(summary.failures)
    assert summary.counts["prepared"] == 1
    assert "the disk is full" in told["full"]
    assert told["z"] == "was not tried: the disk is full. Free some space and repeat."
    assert {name for _, name in journal(tmp_path / "journal")} == {"a", "full"}
    assert "full: the disk is full" in capfd.readouterr().err


def test_progress_is_shown(tmp_path, capfd):
    cases = make_source(tmp_path / "raw", ["a", "raises"])
    run(cases, tmp_path / "raw", tmp_path / "out", FakeSettings(str(tmp_path / "journal")), workers=1)
    shown = capfd.readouterr()
    assert "2/2" in shown.err
    assert "failed=1" in shown.err
    assert "raises: KeyError: 'no such\\nkey'" in shown.err
    assert not shown.out


def test_patients_of_a_table_go_into_split_and_list(tmp_path):
    cases = make_source(tmp_path / "raw", ["a", "b", "c", "d"])
    (tmp_path / "patients.csv").write_text("case,patient\na,Q\nb,Q\nc,Q\n")
    options = {"patients": tmp_path / "patients.csv", "fractions": {"training": 0.5, "validation": 0.0, "test": 0.5}}
    run(cases, tmp_path / "raw", tmp_path / "out", FakeSettings(str(tmp_path / "journal")), **options)
    listed = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert [item["patient"] for item in listed["test"]] == ["patient-d"]
    assert [(item["case"], item["patient"]) for item in listed["training"]] == [("a", "Q"), ("b", "Q"), ("c", "Q")]
    (tmp_path / "patients.csv").write_text("case,patient\nz,Q\n")
    with pytest.raises(InputError, match="none of the cases"):
        run(cases, tmp_path / "raw", tmp_path / "out", FakeSettings(str(tmp_path / "journal")), **options)


@pytest.fixture
def prepared(tmp_path):
    """Two cases, prepared."""
    cases = make_source(tmp_path / "raw", ["a", "b"])
    settings = FakeSettings(str(tmp_path / "journal"))
    run(cases, tmp_path / "raw", tmp_path / "out", settings, workers=1)
    return cases, settings


def test_other_settings_are_refused(prepared, tmp_path):
    cases, settings = prepared
    with pytest.raises(InputError, match=r"other settings: value 1 \(now 2\)\. Give the same"):
        run(cases, tmp_path / "raw", tmp_path / "out", replace(settings, value=2))


def test_another_split_is_refused(prepared, tmp_path):
    cases, settings = prepared
    (tmp_path / "raw" / "c.txt").write_text("c")
    more = [*cases, replace(cases[0], name="c", path=tmp_path / "raw" / "c.txt")]
    with pytest.raises(InputError, match=r"another split: now there are 1 cases more, such as c.*--split"):
        run(more, tmp_path / "raw", tmp_path / "out", settings)
    with pytest.raises(InputError, match="1 cases fewer, such as"):
        run(cases[:1], tmp_path / "raw", tmp_path / "out", settings)
    before = contents(tmp_path / "out")
    summary = run(more, tmp_path / "raw", tmp_path / "out", settings, split=tmp_path / "out" / "split.json")
    assert summary.counts == {"prepared": 0, "skipped": 2, "failed": 0, "left out": 1}
    after = contents(tmp_path / "out")
    assert after.keys() == before.keys()
    assert after["split.json"] == before["split.json"]
    assert summary.checksum == json.loads(before["dataset.json"])["split"]["checksum"]


def test_what_may_hold_cases_is_no_case(prepared, tmp_path):
    """A damaged archive has its row, but no place in the split, which does not change when it is gone."""
    cases, settings = prepared
    before = contents(tmp_path / "out")
    broken = FakeCase("part2", "part2", tmp_path / "part2.zip", InputError("part2.zip", "is cut.", "Get it."), False)
    summary = run([*cases, broken], tmp_path / "raw", tmp_path / "out", settings)
    assert summary.counts == {"prepared": 0, "skipped": 2, "failed": 1, "left out": 0}
    rows = read_rows(tmp_path / "out" / "report.csv")
    assert (rows[2]["case"], rows[2]["split"], rows[2]["error"]) == ("part2", "", "part2.zip: is cut. Get it.")
    assert contents(tmp_path / "out") == before
    assert run(cases, tmp_path / "raw", tmp_path / "out", settings).counts["skipped"] == 2


def test_a_set_of_which_nothing_could_be_read_can_be_mended(tmp_path):
    broken = FakeCase("all", "all", tmp_path / "all.zip", InputError("all.zip", "is cut.", "Get it."), False)
    cases = make_source(tmp_path / "raw", ["a", "b"])
    settings = FakeSettings(str(tmp_path / "journal"))
    assert run([broken], tmp_path / "raw", tmp_path / "out", settings).counts["failed"] == 1
    summary = run(cases, tmp_path / "raw", tmp_path / "out", settings, workers=1)
    assert summary.counts == {"prepared": 2, "skipped": 0, "failed": 0, "left out": 0}
    assert json.loads((tmp_path / "out" / "split.json").read_text())["training"]


def test_the_own_split_may_name_cases_that_are_gone(prepared, tmp_path, caplog):
    cases, settings = prepared
    planned = (tmp_path / "out" / "split.json").read_bytes()
    with caplog.at_level(logging.WARNING):
        summary = run(cases[:1], tmp_path / "raw", tmp_path / "out", settings, split=tmp_path / "out" / "split.json")
    assert "lists 1 cases that are no longer found, such as b" in caplog.text
    assert summary.counts == {"prepared": 0, "skipped": 1, "failed": 0, "left out": 0}
    assert json.loads((tmp_path / "out" / "dataset.json").read_text())["split"]["missing"] == ["b"]
    assert (tmp_path / "out" / "split.json").read_bytes() == planned
    shutil.copy(tmp_path / "out" / "split.json", tmp_path / "mine.json")
    with pytest.raises(InputError, match="1 cases that were not found, such as b"):
        run(cases[:1], tmp_path / "raw", tmp_path / "out", settings, split=tmp_path / "mine.json")


def test_the_own_list_is_a_split(tmp_path):
    """Parts stand for their case."""
    cases = make_source(tmp_path / "raw", ["a", "parts"])
    settings = FakeSettings(str(tmp_path / "journal"))
    first = run(cases, tmp_path / "raw", tmp_path / "out", settings, workers=1)
    other = run(
        cases, tmp_path / "raw", tmp_path / "other", settings, workers=1, split=tmp_path / "out" / "dataset.json"
    )
    assert other.counts["prepared"] == 2
    assert other.checksum == first.checksum


def test_names_that_are_not_utf8(tmp_path):
    name = os.fsdecode(b"M\xfcller")
    cases = make_source(tmp_path / "raw", ["a", "b"])
    cases[1] = replace(cases[1], name=name, patient=name, problem=InputError(name, "is empty.", "Get it again."))
    settings = FakeSettings(str(tmp_path / "journal"))
    summary = run(cases, tmp_path / "raw", tmp_path / "out", settings, workers=1)
    assert (summary.counts["prepared"], summary.counts["failed"]) == (1, 1)
    assert sorted(row["case"] for row in read_rows(tmp_path / "out" / "report.csv")) == ["M\\udcfcller", "a"]
    planned = json.loads((tmp_path / "out" / "split.json").read_text())
    assert sorted(case for part in ("training", "validation", "test") for case in planned[part]) == sorted(["a", name])
    assert run(cases, tmp_path / "raw", tmp_path / "out", settings, workers=1).counts["skipped"] == 1


def test_an_output_that_another_first_run_has_just_begun(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "prepare.json").touch()
    looked, listing = Path.is_file, Path.iterdir
    listed: list[Path] = []

    def iterdir(path: Path) -> list[Path]:
        listed.append(path)
        return list(listing(path))

    monkeypatch.setattr(Path, "iterdir", iterdir)
    monkeypatch.setattr(Path, "is_file", lambda path: bool(listed) and looked(path))  # written after a first look
    check_folders(tmp_path / "raw", tmp_path / "out")
    assert listed == [tmp_path / "out"]


def test_folders(tmp_path, monkeypatch):
    cases, settings = make_source(tmp_path / "raw", ["a"]), FakeSettings(str(tmp_path / "journal"))
    (tmp_path / "link").symlink_to(tmp_path / "raw")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    (tmp_path / "file").touch()
    for output, message in {
        "raw": "is inside the source",
        "raw/out": "is inside the source",
        "link/out": "is inside the source",
        ".": "raw: is inside the output",
        "full": "no prepared set: it has thesis.tex",
        "file": "cannot be made",
        "file/out": "cannot be made",
    }.items():
        with pytest.raises(InputError, match=message):
            run(cases, tmp_path / "raw", tmp_path / output, settings)
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(InputError, match="is not writable"):
        run(cases, tmp_path / "raw", tmp_path / "out", settings)
    assert not (tmp_path / "out").exists()


def test_a_damaged_settings_file(prepared, tmp_path):
    cases, settings = prepared
    (tmp_path / "out" / "prepare.json").write_text("{")
    with pytest.raises(InputError, match=r"prepare.json: is damaged"):
        run(cases, tmp_path / "raw", tmp_path / "out", settings)


def test_workers_and_scheduler_exclude_each_other(tmp_path):
    with pytest.raises(InputError, match="no effect with a scheduler"):
        prepare_cases(
            [], "fake", tmp_path / "raw", tmp_path / "out", None,
            work=work, sources=sources, counts=None, fractions=None, workers=2, scheduler="tcp://127.0.0.1:1",
        )  # fmt: skip

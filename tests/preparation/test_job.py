from __future__ import annotations

import json
import pickle
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bundle.preparation import job as module
from bundle.preparation.job import BUSY, FAILED, PREPARED, SKIPPED, Job, run_case
from tests.preparation.fake_case import FakeSettings, journal, make_source, sources, work


@pytest.fixture
def job(tmp_path):
    """A job on an empty output."""
    (tmp_path / "out").mkdir()
    return Job(tmp_path / "raw", tmp_path / "out", FakeSettings(str(tmp_path / "journal")), work, sources)


def later(job):
    """The same in another run."""
    return replace(job)


def made(job):
    return journal(job.output.parent / "journal").count(("end", "parts"))


@pytest.fixture
def case(job):
    """A case of three items, prepared."""
    case = make_source(job.source, ["parts"])[0]
    outcome = run_case(job, case, wait=False)
    assert (outcome.status, outcome.items) == (PREPARED, ("parts_part1", "parts_part2", "parts_part3"))
    assert outcome.bytes == sum(path.stat().st_size for path in (job.output / "cases").rglob("*.bin")) == 3 * 9
    assert outcome.peak_rss_mb > 10
    return case


def test_record(job, case):
    record = json.loads((job.output / "records" / "parts.json").read_text())
    assert record["settings"] == {"value": 1}
    assert record["sources"][0]["path"] == "parts.txt"
    assert record["items"][1]["files"].keys() == {"cases/parts_part2/data.bin"}
    assert not list((job.output / ".unfinished").iterdir())


def test_finished_cases_are_left_alone(job, case):
    before = (job.output / "cases" / "parts_part1" / "data.bin").stat()
    again = run_case(later(job), case, wait=False)
    assert (again.status, again.items, again.bytes, again.seconds) == (
        SKIPPED,
        ("parts_part1", "parts_part2", "parts_part3"),
        27,
        1.5,
    )
    assert (job.output / "cases" / "parts_part1" / "data.bin").stat().st_mtime_ns == before.st_mtime_ns
    assert made(job) == 1


def test_an_outcome_that_was_lost_is_told_again(job, case):
    """As by a cluster that asks for a case once more since the worker that had its outcome died."""
    assert run_case(job, case, wait=False).status == PREPARED
    assert made(job) == 1


def test_a_moved_source_is_the_same(job, case):
    job.source.rename(job.source.with_name("moved"))
    moved = replace(case, path=job.source.with_name("moved") / "parts.txt")
    assert run_case(replace(job, source=job.source.with_name("moved")), moved, wait=False).status == SKIPPED


@pytest.mark.parametrize(
    "change",
    ["flip", "file", "folder", "record", "half_record", "source", "more", "patient", "settings", "version"],
)
def test_whatever_changed_is_done_anew(job, case, change, monkeypatch):
    target = job.output / "cases" / "parts_part3" / "data.bin"
    record = job.output / "records" / "parts.json"
    expected = target.read_bytes()
    if change == "flip":
        target.write_bytes(expected[:-1] + b"9")
    elif change == "file":
        target.unlink()
    elif change == "folder":
        target.unlink()
        target.parent.rmdir()
    elif change == "record":
        record.unlink()
    elif change == "half_record":
        record.write_text(record.read_text()[:40])
    elif change == "source":
        case.path.write_text("parts!")
        expected = b"parts! 1 2"
    elif change == "more":  # as the slices that an incomplete series lacked, or a label
        case.path.with_suffix(".more").write_text("late")
    elif change == "patient":
        case = replace(case, patient="patient-of-a-table")
    elif change == "settings":
        job = replace(job, settings=replace(job.settings, value=8))
        expected = b"parts 8 2"
    else:
        monkeypatch.setattr(module, "__version__", "0.0.1")
    assert run_case(job, case, wait=False).status == PREPARED
    assert target.read_bytes() == expected
    assert made(job) == 2
    assert run_case(later(job), case, wait=False).status == SKIPPED


def test_fewer_sources_are_done_anew(job):
    case = make_source(job.source, ["parts"])[0]
    late = case.path.with_suffix(".more")
    late.write_text("late")
    assert run_case(job, case, wait=False).status == PREPARED
    assert run_case(later(job), case, wait=False).status == SKIPPED
    late.rename(late.with_name("other.more"))  # of the same size, but another's
    assert run_case(job, case, wait=False).status == PREPARED


def test_archives_are_known_by_their_own_size(job, case):
    """A member's size is no size of a file."""
    path = job.output / "records" / "parts.json"
    record = json.loads(path.read_text())
    (source,) = record["sources"]
    record["sources"] = [{**source, "bytes": 3, "archive_bytes": source["bytes"]}]
    path.write_text(json.dumps(record))
    assert run_case(later(job), case, wait=False).status == SKIPPED
    case.path.write_text("abc")
    assert run_case(job, case, wait=False).status == PREPARED


@pytest.mark.parametrize("item", ["../../kept", "kept", "parts_part1/../../../kept", "", "parts_part", 7])
def test_records_that_name_other_folders_prove_nothing(job, case, item):
    for kept in (job.output.parent / "kept", job.output / "cases" / "kept"):
        kept.mkdir()
    path = job.output / "records" / "parts.json"
    record = json.loads(path.read_text())
    record["items"][0]["name"] = item
    record["settings"] = None
    path.write_text(json.dumps(record))
    assert run_case(job, case, wait=False).status == PREPARED
    assert (job.output.parent / "kept").is_dir()
    assert (job.output / "cases" / "kept").is_dir()


@dataclass(frozen=True)
class SettingsOfFile(FakeSettings):
    """Settings whose numbers are in a file of each machine, as those of a preset."""

    preset: str = ""

    def as_dict(self):
        return {"value": self.value, "preset": Path(self.preset).read_text()}


def test_a_worker_with_another_preset_prepares_nothing(job, tmp_path):
    case = make_source(job.source, ["parts"])[0]
    preset = tmp_path / "preset"
    preset.write_text("sod 541")
    job = replace(job, settings=SettingsOfFile(str(tmp_path / "journal"), preset=str(preset)))
    sent = pickle.dumps(job)
    preset.write_text("sod 540")
    outcome = run_case(pickle.loads(sent), case, wait=False)
    assert outcome.status == FAILED
    assert "has other numbers for this worker" in outcome.error
    assert not (job.output / "records").exists()
    preset.write_text("sod 541")
    assert run_case(pickle.loads(sent), case, wait=False).status == PREPARED
    assert json.loads(job.record_path("parts").read_text())["settings"] == {"value": 1, "preset": "sod 541"}


def test_what_a_killed_run_left_is_removed(job):
    case = make_source(job.source, ["parts"])[0]
    for left in (
        ".unfinished/parts/cases/.partial-7-parts_part1",
        ".unfinished/parts/cases/parts_part1",
        "cases/parts_part1",
    ):
        (job.output / left).mkdir(parents=True)
        (job.output / left / "old").touch()
    assert run_case(job, case, wait=False).status == PREPARED
    assert sorted(path.name for path in (job.output / "cases").rglob("*")) == sorted(
        ["data.bin"] * 3 + [f"parts_part{n}" for n in (1, 2, 3)]
    )


def test_locked_by_another_run(job, case):
    import filelock

    with filelock.FileLock(job.output / ".locks" / "parts.lock"):
        assert run_case(job, case, wait=False).status == BUSY
    assert run_case(later(job), case, wait=True).status == SKIPPED


def test_errors_become_outcomes(job):
    raises, refused = make_source(job.source, ["raises", "refused"])
    outcome = run_case(job, raises, wait=False)
    assert (outcome.status, outcome.disk_full) == (FAILED, False)
    assert outcome.error == "KeyError: 'no such\\nkey'"
    assert run_case(job, refused, wait=False).error == f"{refused.path}: is upside down. Turn it."
    assert not (job.output / "records").exists()
    assert not list((job.output / ".unfinished").iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_a_full_disk_is_told(job):
    outcome = run_case(job, make_source(job.source, ["full"])[0], wait=False)
    assert outcome.disk_full
    assert outcome.error.startswith("the disk is full: OSError: [Errno 28]")


def test_numpy_tells_a_full_disk_in_words():
    assert module.failed("a", OSError("Not enough free space to write 80000000 bytes after offset 128")).disk_full
    assert module.failed("a", OSError("524288 requested and 4096 written")).disk_full
    assert not module.failed("a", OSError("cannot identify image")).disk_full

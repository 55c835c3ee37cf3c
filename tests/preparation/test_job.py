from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest

from bundle.preparation import job as module
from bundle.preparation.job import BUSY, FAILED, PREPARED, SKIPPED, Job, run_case
from tests.preparation.fake_case import FakeSettings, journal, make_source, work


@pytest.fixture
def job(tmp_path):
    """A job on an empty output."""
    (tmp_path / "out").mkdir()
    return Job(tmp_path / "raw", tmp_path / "out", FakeSettings(str(tmp_path / "journal")), work)


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
    again = run_case(job, case, wait=False)
    assert (again.status, again.items, again.bytes, again.seconds) == (
        SKIPPED,
        ("parts_part1", "parts_part2", "parts_part3"),
        27,
        1.5,
    )
    assert (job.output / "cases" / "parts_part1" / "data.bin").stat().st_mtime_ns == before.st_mtime_ns
    assert made(job) == 1


def test_a_moved_source_is_the_same(job, case):
    job.source.rename(job.source.with_name("moved"))
    moved = replace(case, path=job.source.with_name("moved") / "parts.txt")
    assert run_case(replace(job, source=job.source.with_name("moved")), moved, wait=False).status == SKIPPED


@pytest.mark.parametrize("change", ["flip", "file", "folder", "record", "half_record", "source", "settings", "version"])
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
    elif change == "settings":
        job = replace(job, settings=replace(job.settings, value=8))
        expected = b"parts 8 2"
    else:
        monkeypatch.setattr(module, "__version__", "0.0.1")
    assert run_case(job, case, wait=False).status == PREPARED
    assert target.read_bytes() == expected
    assert made(job) == 2
    assert run_case(job, case, wait=False).status == SKIPPED


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
    assert run_case(job, case, wait=True).status == SKIPPED


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

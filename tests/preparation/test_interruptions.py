"""Runs that are killed, and runs at the same time, as real processes."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.preparation.fake_case import FakeSettings, contents, journal, make_source, pids
from tests.preparation.runs import run

NAMES = ["a", "b", "parts", "slow1", "slow2", "z"]


def start(folder: Path, output: str, pause_s: float, log: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.preparation.drive", folder / "raw", folder / output, folder / log]
    return subprocess.Popen(
        [*command, str(pause_s)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen) -> str:
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return out.strip()


def wait_for(condition, what: str) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def session(leader: int) -> list[int]:
    """Living processes of a session, by its leader."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """What the cases give without any interruption."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    cases = make_source(folder / "raw", NAMES)
    summary = run(cases, folder / "raw", folder / "out", FakeSettings(str(folder / "journal")))
    assert summary.counts == {"prepared": 6, "skipped": 0, "failed": 0, "left out": 0}
    return contents(folder / "out")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
@pytest.mark.parametrize("victim", ["parent", "group", "interrupt"])
def test_killed_in_the_middle_and_run_again(tmp_path, uninterrupted, victim):
    cases = make_source(tmp_path / "raw", NAMES)
    log = tmp_path / "journal"
    process = start(tmp_path, "out", 30.0, "journal")
    wait_for(lambda: {("half", "slow1"), ("half", "slow2")} <= set(journal(log)), "two cases to be half written")
    workers = pids(log)
    assert any(alive(pid) for pid in workers)
    if victim == "parent":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL if victim == "group" else signal.SIGINT)
    process.communicate(timeout=30)
    wait_for(lambda: not session(process.pid), "orphans to end")

    output = tmp_path / "out"
    finished = sorted(path.stem for path in (output / "records").iterdir())
    assert finished == ["a", "b", "parts"]
    assert not (output / "dataset.json").exists()
    stamps = {path: path.stat().st_mtime_ns for path in (output / "cases").rglob("*.bin")}
    assert len(stamps) == 5
    assert (output / ".unfinished" / "slow1" / "cases").is_dir()

    summary = run(cases, tmp_path / "raw", output, FakeSettings(str(log)))
    assert summary.counts == {"prepared": 3, "skipped": 3, "failed": 0, "left out": 0}
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert contents(output) == uninterrupted
    starts = [name for what, name in journal(log) if what == "start"]
    assert sorted(starts) == sorted([*NAMES, "slow1", "slow2"])


def test_two_runs_at_once(tmp_path, uninterrupted):
    make_source(tmp_path / "raw", NAMES)
    both = [start(tmp_path, "out", 0.5, f"journal{number}") for number in (1, 2)]
    told = [finish(process) for process in both]
    done = journal(tmp_path / "journal1") + journal(tmp_path / "journal2")
    assert sorted(name for what, name in done if what == "start") == sorted(NAMES)
    counts = [ast.literal_eval(line) for line in told]
    assert counts[0]["prepared"] + counts[1]["prepared"] == len(NAMES)
    assert [count["prepared"] + count["skipped"] for count in counts] == [len(NAMES)] * 2
    assert contents(tmp_path / "out") == uninterrupted

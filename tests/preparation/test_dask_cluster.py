"""Preparation on a real Dask cluster: its command line programs on loopback."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="the package distributed is not installed")

from bundle.errors import InputError
from bundle.preparation import dask_cluster
from bundle.preparation.dask_cluster import DaskCluster
from bundle.tables import read_rows
from tests.conftest import ROOT
from tests.preparation.fake_case import FakeSettings, contents, journal, make_source, own_threads
from tests.preparation.runs import run

_ENVIRONMENT = {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0", "PYTHONWARNINGS": "ignore"}


@contextmanager
def program(*arguments: str, ready: str, cwd: Path = ROOT, env: dict[str, str] = _ENVIRONMENT):
    """A program of Dask in a process group of its own, once its output matches; gives the process and the match."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments],
        cwd=cwd,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        found = None
        lines = []
        while found is None:
            line = process.stdout.readline()
            assert line, "".join(lines)
            lines.append(line)
            found = re.search(ready, line)
        threading.Thread(target=process.stdout.read, daemon=True).start()  # or a full pipe would stop the program
        yield process, found
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def scheduler():
    return program(
        "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", ready=r"Scheduler at: +(tcp://\S+)"
    )


def worker(address: str, *options: str, **where):
    arguments = ("worker", address, "--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard", *options)
    return program(*arguments, ready="Starting established connection", **where)


@pytest.fixture(scope="module")
def cluster():
    """Address of a scheduler that has two workers, each supervised."""
    with scheduler() as (_, found), worker(found[1], "--nworkers", "2"):
        yield found[1]


def test_cases_of_all_kinds(cluster, tmp_path):
    cases = make_source(tmp_path / "raw", ["a", "dieonce", "dies", "parts", "raises", "z"])
    settings = FakeSettings(str(tmp_path / "journal"))
    summary = run(cases, tmp_path / "raw", tmp_path / "out", settings, scheduler=cluster)
    assert summary.counts == {"prepared": 4, "skipped": 0, "failed": 2, "left out": 0}
    assert [case for case, _ in summary.failures] == ["dies", "raises"]
    told = {row["case"]: row["error"] for row in read_rows(tmp_path / "out" / "report.csv")}
    assert told["dies"].startswith("its worker process died")
    assert told["raises"] == "KeyError: 'no such\\nkey'"
    assert not list((tmp_path / "out" / ".unfinished").iterdir())

    (tmp_path / "out" / "cases" / "z" / "data.bin").write_text("?")
    kept = [case for case in cases if case.name not in ("dies", "raises")]
    planned = tmp_path / "out" / "split.json"
    planned.unlink()
    again = run(kept, tmp_path / "raw", tmp_path / "out", settings, scheduler=cluster)
    assert again.counts == {"prepared": 1, "skipped": 3, "failed": 0, "left out": 0}
    here = run(kept, tmp_path / "raw", tmp_path / "here", settings)
    assert here.checksum == again.checksum
    assert contents(tmp_path / "here") == contents(tmp_path / "out")


def test_workers_are_spared(cluster):
    """Also those that come later, and what they import."""
    with DaskCluster(cluster, ()) as executor:
        told = executor.result(executor.submit(own_threads))
    assert told == {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1"}


def test_a_killed_worker_does_not_matter(cluster, tmp_path):
    """Kills the worker process that has a case half written; another, or its successor, does the case again."""
    cases = make_source(tmp_path / "raw", ["slow", "a", "b"])
    log = tmp_path / "journal"

    def kill() -> None:
        deadline = time.monotonic() + 30
        while ("half", "slow") not in journal(log) and time.monotonic() < deadline:
            time.sleep(0.02)
        line = next(line for line in log.read_text().splitlines() if line.startswith("half slow"))
        os.kill(int(line.split()[2]), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    summary = run(cases, tmp_path / "raw", tmp_path / "out", FakeSettings(str(log), pause_s=1.0), scheduler=cluster)
    killer.join()
    assert summary.counts == {"prepared": 3, "skipped": 0, "failed": 0, "left out": 0}
    assert journal(log).count(("start", "slow")) == 2
    assert json.loads((tmp_path / "out" / "dataset.json").read_text())["split"]["missing"] == []


def test_workers_that_die_at_once_come_back(tmp_path):
    """The case kills the worker, and its successor with its first task; the supervisor is slow to hear of starts."""
    preload = tmp_path / "slow_nanny.py"
    preload.write_text("from distributed.nanny import WorkerProcess\nWorkerProcess._init_msg_interval = 0.5")
    cases = make_source(tmp_path / "raw", ["dies"])
    log = tmp_path / "journal"
    with scheduler() as (_, found), worker(found[1], "--preload-nanny", str(preload)):
        summary = run(cases, tmp_path / "raw", tmp_path / "out", FakeSettings(str(log)), scheduler=found[1])
        assert journal(log) == [("start", "dies")] * 2
        assert summary.counts["failed"] == 1
        with DaskCluster(found[1], ()) as executor:
            assert executor.capacity > 0


def test_a_lost_scheduler_ends_the_run_and_keeps_what_is_finished(tmp_path):
    cases = make_source(tmp_path / "raw", ["a", "slow"])
    log = tmp_path / "journal"
    with scheduler() as (process, found), worker(found[1]):

        def kill() -> None:
            while ("half", "slow") not in journal(log):
                time.sleep(0.02)
            time.sleep(0.5)  # until the run has been told of the first case
            os.killpg(process.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        settings = FakeSettings(str(log), pause_s=60.0)
        summary = run(cases, tmp_path / "raw", tmp_path / "out", settings, scheduler=found[1])
    assert summary.counts["prepared"] == 1
    assert re.match(r"was not finished: scheduler tcp://\S+: is gone", dict(summary.failures)["slow"])
    listed = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert [item["case"] for name in ("training", "validation", "test") for item in listed[name]] == ["a"]


def test_a_cluster_without_workers_left_ends_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(dask_cluster, "_CHECK_EVERY_S", 0.2)
    monkeypatch.setattr(dask_cluster, "_WITHOUT_WORKERS_S", 1.0)
    cases = make_source(tmp_path / "raw", ["a", "dies"])
    settings = FakeSettings(str(tmp_path / "journal"))
    with scheduler() as (_, found), worker(found[1], "--no-nanny"):
        summary = run(cases, tmp_path / "raw", tmp_path / "out", settings, scheduler=found[1])
    assert "has no workers left" in dict(summary.failures)["dies"]
    assert (tmp_path / "out" / "cases" / "a" / "data.bin").is_file()


def test_clusters_that_cannot_do_it(tmp_path, monkeypatch):
    monkeypatch.setattr(dask_cluster, "_CONNECT_S", 2.0)
    cases = make_source(tmp_path / "raw", ["a"])
    settings = FakeSettings(str(tmp_path / "journal"))

    def refused(address: str, message: str) -> None:
        with pytest.raises(InputError, match=message):
            run(cases, tmp_path / "raw", tmp_path / "out", settings, scheduler=address)

    with scheduler() as (_, found):
        refused(found[1], "has no workers")
        elsewhere = tmp_path / "elsewhere"
        (elsewhere / "bundle").mkdir(parents=True)
        (elsewhere / "bundle" / "__init__.py").write_text("__version__ = '0.0.1'")
        environment = {**_ENVIRONMENT, "PYTHONPATH": str(elsewhere)}
        with worker(found[1], cwd=tmp_path, env=environment):
            refused(found[1], r"version 0\.0\.1 of this bundle, not")
        (elsewhere / "bundle" / "__init__.py").write_text("raise ImportError('no bundle here')")
        with worker(found[1], cwd=tmp_path, env=environment):
            refused(found[1], "cannot import this bundle .no bundle here")
    started = time.monotonic()
    refused("tcp://127.0.0.1:9", "scheduler tcp://127.0.0.1:9: cannot be reached")
    refused("nonsense", "scheduler nonsense: cannot be reached")
    assert time.monotonic() - started < 20
    assert not (tmp_path / "out" / "prepare.json").exists()

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from bundle.inferer.backends import REDUCED_PRECISION
from scripts.benchmark import machine
from scripts.benchmarks.classical import measure_classical
from scripts.benchmarks.inference import BEST, STRAIGHTFORWARD, agreement, compare
from scripts.benchmarks.machine import circumstances
from scripts.benchmarks.projector import measure_projector
from scripts.benchmarks.result import Settings
from tests.conftest import ROOT

PARTS = ["inference", "scaling", "training"]


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """What the command leaves."""
    folder = tmp_path_factory.mktemp("benchmark")
    before = set((ROOT / "models").rglob("*"))
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}  # too slow
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "benchmark.py"), *PARTS, "--quick", "--output", str(folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**environment, "OMP_NUM_THREADS": "1"},  # waiting threads would slow down other tests
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert set((ROOT / "models").rglob("*")) == before, "the benchmark's trainings left something in models"
    return folder, json.loads((folder / "benchmark.json").read_text())


def test_figures_say_where_they_are_from(quick):
    _, figures = quick
    assert {"date", "machine", "threads", "versions", "commit", "units"} <= figures.keys()
    assert "torch" in figures["versions"]
    assert list(figures["parts"]) == PARTS
    assert all({"date", "settings", "tables", "checks"} <= part.keys() for part in figures["parts"].values())


def test_inference_ratios_are_of_one_run_and_results_were_compared(quick):
    folder, figures = quick
    part = figures["parts"]["inference"]
    plain, *others = part["tables"]["inference"]
    assert plain["method"] == STRAIGHTFORWARD
    assert {BEST, "points", "torch"} <= {row["method"] for row in others}
    for row in others:
        assert row["speedup_ratio"] == pytest.approx(plain["seconds"] / row["seconds"])
        reduced = row["method"] in REDUCED_PRECISION
        assert row["psnr_db"] >= 60 if reduced else row["largest_difference"] <= 1e-4
        told = f"PSNR in dB of {row['method']} at" if reduced else f"{row['method']} equals"
        checks = [check for check in part["checks"] if check["name"].startswith(told)]
        # A small volume, on which the network is timed in one way alone, and voxels of the large one.
        assert [check["passed"] for check in checks] == [True] * (1 if row["method"] == BEST else 2)
    assert (folder / "inference.png").stat().st_size > 10_000


def test_training_ratios_are_of_one_run_and_results_were_compared(quick):
    folder, figures = quick
    part = figures["parts"]["training"]
    stages = {row["stage"] for row in part["tables"]["steps"]}
    assert stages == {"pretraining", "dataset adaptation", "view adjustment"}
    for stage in stages:
        plain, ours = (row for row in part["tables"]["steps"] if row["stage"] == stage)
        assert plain["method"] == STRAIGHTFORWARD
        assert ours["speedup_ratio"] == pytest.approx(plain["step_seconds"] / ours["step_seconds"])
        assert ours["loss"] == pytest.approx(plain["loss"], rel=1e-4)
        assert sum(ours["shares"].values()) == pytest.approx(1)
        assert {"loading", "simulation", "backward", "optimiser"} <= ours["shares"].keys()
        assert {"encoder", "back_projection", "quantiser", "decoder_3d", "points"} <= plain["shares"].keys()
        compared = [check for check in part["checks"] if check["name"].startswith(stage)]
        assert len(compared) == 4
        assert all(check["passed"] for check in compared)
    assert (folder / "training.png").stat().st_size > 10_000


def test_scaling_tells_the_fit_and_whether_memory_suffices(quick):
    folder, figures = quick
    part = figures["parts"]["scaling"]
    rows = part["tables"]["scaling"]
    assert {(row["side"], row["views"]) for row in rows} == {(8, 6), (24, 6), (8, 24), (24, 24)}
    assert [check["passed"] for check in part["checks"]] == [True]
    assert part["checks"][0]["found"] == max(row["process_peak_mb"] for row in rows if row["side"] == 24)
    fitted = part["fits"]["seconds"]
    assert [row["seconds"] / row["fitted_seconds"] - 1 for row in rows] == pytest.approx(fitted["relative_residuals"])
    assert (folder / "scaling.png").stat().st_size > 10_000


def test_inference_results_that_differ_are_found():
    truth = np.linspace(0.1, 0.9, 50)
    wrong = truth.copy()
    wrong[7] += 0.01
    values = {STRAIGHTFORWARD: truth, "a": truth + 1e-6, "b": wrong}
    runs = {name: {"values": those} for name, those in values.items()}
    assert [check.passed for check in compare(runs, "here")] == [True, False]
    difference, psnr = agreement(wrong, truth)
    assert difference == pytest.approx(0.01)
    assert psnr == pytest.approx(10 * np.log10(50 / 0.01**2))


def test_every_projector_backend_has_a_ratio():
    result = measure_projector(Settings(views=(2,), size=8, repeats=1))
    rows = result.tables["projector"].rows
    names = {row["backend"] for row in rows}
    assert "torch" in names
    assert len(rows) == 2 * len(names)
    for direction in ("forward", "adjoint"):
        some = {row["backend"]: row for row in rows if row["case"].startswith(direction)}
        reference = some[rows[0]["reference"]]["seconds"]
        for row in some.values():
            assert row["time_to_reference_ratio"] == pytest.approx(row["seconds"] / reference)
    lines = result.markdown().splitlines()
    assert lines[0].startswith("| case | backend | time |")
    assert len(lines) == len(rows) + 2


def test_classical_methods_are_timed():
    pytest.importorskip("itk", reason="needs itk-rtk")
    rows = measure_classical(Settings(views=(3, 12), size=8, repeats=1)).tables["classical"].rows
    assert {row["engine"] for row in rows} == {"own", "rtk"}


def test_machine_is_described():
    now = circumstances()
    assert f"torch {now['versions']['torch']}" in machine()
    assert now["commit"]

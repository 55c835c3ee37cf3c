from __future__ import annotations

import pytest

from scripts.benchmark import benchmark_classical, benchmark_projector, machine, table


def test_tables_have_every_backend_and_ratios():
    rows = benchmark_projector([2], 8, 1)
    names = {row["backend"] for row in rows}
    assert "torch" in names
    reference = "rtk" if "rtk" in names else "torch"
    ratios = {row["backend"]: row[f"time / {reference}"] for row in rows if row["case"].startswith("forward")}
    assert ratios[reference] == "1.00"
    assert len(rows) == 2 * len(names)
    lines = table(rows).splitlines()
    assert lines[0].startswith("| case | backend | time |")
    assert len(lines) == len(rows) + 2


def test_classical_methods_are_timed():
    pytest.importorskip("itk", reason="needs itk-rtk")
    assert {row["engine"] for row in benchmark_classical([3, 12], 8, 1)} >= {"own"}


def test_machine_is_described():
    assert "torch" in machine()

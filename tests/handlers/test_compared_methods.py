from __future__ import annotations

import pytest

from bundle.classical import FDK, DataConsistency
from bundle.handlers import ComparedMethods
from bundle.tables import read_rows
from tests.handlers.test_metrics_table import EVALUATE
from tests.workflows import run, small


def test_methods_know_nothing_of_the_network_and_refinements_start_from_it(tmp_path):
    """Another network changes its own row and its refinement's, and no other method's."""
    rows = []
    for seed in (0, 1):
        changes = small(tmp_path / str(seed), denoise_blocks=0, checkpoint=None, view_counts=[4], seed=seed)
        run(EVALUATE, "evaluating", **changes)
        rows.append({row["method"]: row for row in read_rows(tmp_path / str(seed) / "out" / "metrics.csv")})
    first, second = rows
    for method in ("fdk", "sart", "cgls", "tv"):
        assert first[method] == second[method]
        assert first[method]["weights"] == ""
    for method in ("deepsparse", "deepsparse+sart"):
        assert first[method]["psnr_db"] != second[method]["psnr_db"]
        assert first[method]["weights"] != second[method]["weights"]
    assert float(first["deepsparse+sart"]["psnr_db"]) > float(first["deepsparse"]["psnr_db"])


def test_names_are_unique():
    with pytest.raises(ValueError, match="same name"):
        ComparedMethods({"a": FDK()}, {"a": DataConsistency()})


def test_overlays_can_leave_methods_out():
    kept = ComparedMethods({"fdk": FDK(), "tv": None}, {"deepsparse+sart": None})
    assert list(kept.methods) == ["fdk"]
    assert not kept.refinements

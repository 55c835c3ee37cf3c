from __future__ import annotations

from bundle.tables import read_rows
from tests.handlers.test_metrics_table import EVALUATE
from tests.workflows import run, small


def test_rows_of_other_scans_stay_and_the_same_ones_are_replaced(tmp_path):
    changes = small(tmp_path, denoise_blocks=0, checkpoint=None, overwrite=True, methods={}, refinements={})
    run(EVALUATE, "evaluating", **changes, view_counts=[3])
    first = read_rows(tmp_path / "out" / "residuals.csv")
    assert [row["views"] for row in first] == ["3"] * 3
    run(EVALUATE, "evaluating", **changes, view_counts=[2, 3], seed=1)
    second = read_rows(tmp_path / "out" / "residuals.csv")
    assert [row["views"] for row in second] == ["2"] * 2 + ["3"] * 3
    assert {row["relative"] for row in second}.isdisjoint({row["relative"] for row in first})


def test_missing_views_have_no_residual_but_the_planned_number(tmp_path):
    changes = small(tmp_path, denoise_blocks=0, checkpoint=None, methods={}, refinements={})
    run(EVALUATE, "evaluating", **changes, view_counts=[5], missing_views=2, cache_projections=False)
    rows = read_rows(tmp_path / "out" / "residuals.csv")
    assert [row["views"] for row in rows] == ["5"] * 3
    (row,) = read_rows(tmp_path / "out" / "metrics.csv")
    assert row["views"] == "5"
    assert (tmp_path / "out" / "chest" / "chest_5views.nii.gz").is_file()

from __future__ import annotations

from bundle.tables import read_rows
from tests.workflows import DEMO, TRAIN, run, small

EVALUATE = [TRAIN, "configs/evaluate.json", DEMO]


def test_rows_carry_their_provenance_and_replace_their_like(tmp_path):
    changes = small(
        tmp_path, denoise_blocks=0, checkpoint=None, overwrite=True, view_counts=[3, 5], methods={}, refinements={}
    )
    run(EVALUATE, "evaluating", **changes)
    first = read_rows(tmp_path / "out" / "metrics.csv")
    assert [(row["case"], row["views"]) for row in first] == [("chest", "3"), ("chest", "5")]
    expected = {"data_range": "1.0", "crop": "none", "dtype": "float32", "shape": "16x16x16", "preset": "luna16"}
    assert expected.items() <= first[0].items()
    assert len(first[0]["weights"]) == len(first[0]["geometry"]) == 16
    assert first[0]["geometry"] != first[1]["geometry"]

    run(EVALUATE, "evaluating", **changes)  # the same seed makes the same weights
    assert read_rows(tmp_path / "out" / "metrics.csv") == first
    run(EVALUATE, "evaluating", **{**changes, "method": "other", "view_counts": [5]})
    assert [row["method"] for row in read_rows(tmp_path / "out" / "metrics.csv")] == ["deepsparse"] * 2 + ["other"]

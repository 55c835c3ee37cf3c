from __future__ import annotations

import pytest
from ignite.engine import Events

from bundle.tables import read_rows
from tests.workflows import DEMO, TRAIN, run, small, workflow

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


def test_means_are_there_for_the_handlers_that_log_them(tmp_path):
    """Also of a second evaluation by the same engine, as a federated client's."""
    changes = small(tmp_path, denoise_blocks=0, checkpoint=None, overwrite=True, view_counts=[3, 5])
    evaluator = workflow(EVALUATE, "evaluating", **changes, methods={}, refinements={}).evaluator
    logged = []
    evaluator.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: logged.append(engine.state.metrics["psnr_db"]))
    for bias in (0.3, 0.5):
        evaluator.network.point_decoder.layers[-1][0].bias.data.fill_(bias)
        evaluator.run()
        rows = read_rows(tmp_path / "out" / "metrics.csv")[-2:]
        assert logged[-1] == pytest.approx(sum(float(row["psnr_db"]) for row in rows) / 2, abs=1e-4)
    assert logged[0] != logged[1]

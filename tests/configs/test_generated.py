"""Training on generated volumes: mixed, and resumed bit for bit."""

from __future__ import annotations

import json

import pytest

from bundle.checkpoint import read_checkpoint
from tests.conftest import ROOT
from tests.handlers.test_resume import assert_equal_checkpoints
from tests.workflows import DEMO, TRAIN, refused, run, small

FILES = [TRAIN, "configs/generated.json", DEMO]


def generated(folder, **changes):
    return small(
        folder,
        **{
            "anatomies": {"chest": 1},
            "real_dataset_dir": str(ROOT / "sample_data"),
            "cached_items": 4,
            "replaced_per_epoch": 2,
            "cases_repeated": 2,
            "cache_projections": False,
            **changes,
        },
    )


def test_overlay_changes_only_what_exists_or_is_its_own():
    base, overlay = (json.loads((ROOT / "configs" / f"{name}.json").read_text()) for name in ("train", "generated"))
    own = {"anatomies", "real_dataset_dir", "real_share", "cached_items", "replaced_per_epoch", "generator_device"}
    added = {"train#volumes", "run_settings#settings#generated"}
    for key in set(overlay) - own - added:
        node = base
        for part in key.split("#"):
            assert part in node, key
            node = node[part]


def test_resumed_run_equals_uninterrupted_run(tmp_path):
    """The window of the third epoch is the same whether the first two were trained in this run or in another."""
    run(FILES, **generated(tmp_path / "straight", max_epochs=3))
    done = run(FILES, **generated(tmp_path / "resumed", max_epochs=2))
    dataset = done.parser.get_parsed_content("train#dataset")
    assert sorted(number for number, _ in dataset._window.values()) == [2, 3, 4, 5]
    assert {dataset.data[n]["source"] for n in range(8)} == {"real", "procedural"}
    run(FILES, **generated(tmp_path / "resumed", max_epochs=3))
    folders = [tmp_path / name / "models" / "checkpoints" / "pretrain" for name in ("straight", "resumed")]
    assert_equal_checkpoints(*(folder / "checkpoint_epoch=3.pt" for folder in folders))


def test_with_workers_and_cached_projections(tmp_path):
    done = run(FILES, **generated(tmp_path, num_workers=1, cache_projections=True, replaced_per_epoch=1, max_epochs=2))
    assert done.trainer.state.epoch_length == 4
    settings = read_checkpoint(tmp_path / "models" / "checkpoints" / "pretrain" / "checkpoint_epoch=2.pt")["settings"]
    assert settings["cases"] == ["chest: 1", "chest"]
    assert settings["generated"] == [0.5, 4, 1]
    with refused("other settings: generated"):
        run(FILES, **generated(tmp_path, max_epochs=3))


@pytest.mark.parametrize("changes", [{"anatomies": {"tail": 1}}, {"real_share": 2}])
def test_refusals(tmp_path, changes):
    with refused("tail|real_share"):
        run(FILES, **generated(tmp_path, **changes))

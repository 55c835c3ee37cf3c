"""The compact network's training at a tiny size, and the weights that a release ships."""

from __future__ import annotations

import json
import sys

import pytest

from bundle.checkpoint import read_checkpoint
from bundle.errors import InputError
from bundle.handlers.resume import latest_checkpoint
from scripts import ship_weights, train_compact
from tests.conftest import ROOT
from tests.workflows import SIZES

TINY = {
    **SIZES,
    "low_resolution": 8,
    "prior": {"size": 16, "method": "tv", "options": {"iterations": 3}, "channels": [4, 6]},
    "anatomies": {"knee": 1},
    "cached_items": 2,
    "replaced_per_epoch": 1,
    "cases_repeated": 1,
    "val_interval": 1,
    "num_workers": 0,
}


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Runs the script for a moment."""

    def call(*minutes: float) -> dict[str, str]:
        changes = {**TINY, "output_dir": "$'" + str(tmp_path / "runs") + "/' + @stage"}
        arguments = ["train_compact", "--dataset_dir", str(ROOT / "sample_data"), "--minutes", *map(str, minutes)]
        arguments += ["--models", str(tmp_path / "models"), "--kept_dir", str(tmp_path / "kept")]
        monkeypatch.setattr(sys, "argv", [*arguments, "--changes", json.dumps(changes)])
        train_compact.main()
        folders = (tmp_path / "models" / "checkpoints").iterdir()
        return {folder.name: latest_checkpoint(folder).name for folder in folders}

    return call


def ship(monkeypatch, tmp_path) -> None:
    places = {"trained": "models", "runs": "runs", "output": "shipped", "record": "shipped/training.json"}
    arguments = [part for name, place in places.items() for part in (f"--{name}", str(tmp_path / place))]
    monkeypatch.setattr(sys, "argv", ["ship_weights", *arguments])
    ship_weights.main()


def test_first_stage_goes_on_and_later_ones_start_anew(train, tmp_path, monkeypatch):
    first, second = "checkpoint_epoch=1.pt", "checkpoint_epoch=2.pt"
    assert train(1e-6, 0, 0) == {"pretrain": first}
    with pytest.raises(InputError, match="has no training checkpoint"):
        ship(monkeypatch, tmp_path)
    assert train(1e-6, 1e-6, 1e-6) == {"pretrain": second, "finetune_step1": first, "finetune_step2": first}
    assert train(0, 1e-6, 0) == {"pretrain": second, "finetune_step1": second, "finetune_step2": first}
    assert train(0, 0, 1e-6)["finetune_step2"] == second

    with pytest.raises(InputError, match="another architecture"):  # than the one that inference expects
        ship(monkeypatch, tmp_path)
    assert not list((tmp_path / "shipped").iterdir())


def test_shipped_weights_are_halved_and_recorded(train, tmp_path, monkeypatch):
    train(1e-6, 1e-6, 1e-6)
    small = {**json.loads((ROOT / "configs" / "inference.json").read_text()), **TINY}
    (tmp_path / "configs").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "real_cts.json").write_text("{}")
    (tmp_path / "configs" / "inference.json").write_text(json.dumps(small))
    monkeypatch.setattr(ship_weights, "ROOT", tmp_path)
    ship(monkeypatch, tmp_path)
    record = json.loads((tmp_path / "shipped" / "training.json").read_text())
    for name in ("pretrain.pt", "model.pt"):
        whole, half = (read_checkpoint(tmp_path / folder / name) for folder in ("models", "shipped"))
        assert whole.keys() == half.keys()
        assert record["weights"][name]["bytes"] == (tmp_path / "shipped" / name).stat().st_size
    for stage in ship_weights.STAGES:
        found = record["stages"][stage]
        assert (found["epochs"], found["steps"]) == (1, 1)
        assert found["settings"]["stage"] == stage
        assert found["curves"]["validated_epochs"] == [1]
        assert 0 < found["curves"]["validation_psnr_db"][0] < 60
        assert len(found["curves"]["training_mse"]) == 1
    assert (tmp_path / "shipped" / "training.png").stat().st_size > 5000

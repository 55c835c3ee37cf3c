from __future__ import annotations

import ast
import json

import pytest
import torch

from bundle.checkpoint import load_network, save_checkpoint
from bundle.convert import convert, rename_published
from bundle.errors import InputError
from bundle.networks import DiCE
from bundle.presets import load_preset
from tests.conftest import DATA
from tests.workflows import workflow


def published(stage: str) -> dict[str, torch.Tensor]:
    """A random state dict with exactly the published entries."""
    state = {}
    for line in (DATA / f"ds_params_{stage}.txt").read_text().splitlines():
        if not line.startswith("#"):
            name, shape, kind, _ = line.split("\t")
            size = ast.literal_eval(shape)
            values = torch.rand(size) if kind == "float32" else torch.zeros(size, dtype=torch.int64)
            state[name] = values
    return state


@pytest.mark.parametrize(
    ("stage", "entries", "parameters"), [("pretrain", 210, 6_041_419), ("finetune", 266, 7_217_899)]
)
def test_full_size_conversion(tmp_path, stage, entries, parameters):
    """Every published entry arrives, and the configuration beside the weights builds the network that takes them."""
    state = published(stage)
    assert len(state) == entries
    moving_averages = ("cluster_size", "embed_avg")
    trained = [n for n in state if not n.endswith(("running_mean", "running_var", "num_batches_tracked"))]
    assert sum(state[n].numel() for n in trained) == parameters
    save_checkpoint(state, tmp_path / "ckpt.pth")
    overlay = convert(tmp_path / "ckpt.pth", tmp_path / "model.pt")
    settings = json.loads(overlay.read_text())
    assert settings["denoise_blocks"] == (2 if stage == "finetune" else 0)
    assert (settings["head"], settings["output_grid"], settings["row_direction"]) == ("norm_act", "corner", "-z")

    prepared = workflow(["configs/inference.json"], "run", "infer", **settings)
    network = load_network(prepared.network_def, tmp_path / "model.pt")
    converted = network.state_dict()
    for name, value in state.items():
        assert torch.equal(converted[rename_published(name)], value), name
    assert sum(n.endswith(moving_averages) for n in state) == 8


def test_loading_needs_the_conventions(tmp_path):
    save_checkpoint(published("pretrain"), tmp_path / "ckpt.pth")
    convert(tmp_path / "ckpt.pth", tmp_path / "model.pt")
    with pytest.raises(InputError, match="another architecture"):
        load_network(DiCE(load_preset("luna16")), tmp_path / "model.pt")
    with pytest.raises(InputError, match="row_direction"):
        load_network(DiCE(load_preset("luna16"), head="norm_act"), tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s.pop("decoders.1.layers.0.conv.1.weight"),
            "missing embedding.decoders.1.layers.0.conv.adn.N.weight",
        ),
        (lambda s: s.update({"decoders.9.extra": torch.zeros(1)}), "decoders.9.extra"),
        (lambda s: s.update({"cb.2.pre_quant.bias": torch.zeros(5)}), "misshapen embedding.quantizers.2.pre.bias"),
        (lambda s: s.pop("encoder.encoder.stem.conv.0.weight"), r"ckpt\.pth: lacks encoder.stem.conv.weight"),
    ],
)
def test_entries_that_do_not_fit_are_listed(tmp_path, change, message):
    state = published("pretrain")
    change(state)
    save_checkpoint(state, tmp_path / "ckpt.pth")
    with pytest.raises(InputError, match=message):
        convert(tmp_path / "ckpt.pth", tmp_path / "model.pt")
    assert not (tmp_path / "model.pt").exists()
    assert not (tmp_path / "model.json").exists()


def test_existing_output_is_kept(tmp_path):
    save_checkpoint(published("pretrain"), tmp_path / "ckpt.pth")
    (tmp_path / "model.pt").write_text("precious")
    with pytest.raises(InputError, match="exists already"):
        convert(tmp_path / "ckpt.pth", tmp_path / "model.pt")
    assert (tmp_path / "model.pt").read_text() == "precious"


def test_state_that_runs_code_is_refused(tmp_path):
    from tests.test_checkpoint import Harmful

    torch.save({"a": Harmful()}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match=r"evil\.pth"):
        convert(tmp_path / "evil.pth", tmp_path / "model.pt")

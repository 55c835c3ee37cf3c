from __future__ import annotations

import os
import pickle
import zipfile
from contextlib import suppress

import pytest
import torch
from monai.networks.utils import copy_model_state

from bundle import shipped_weights
from bundle.checkpoint import load_network, read_checkpoint, save_checkpoint, weights_hash
from bundle.errors import InputError
from bundle.json_files import read_json_object, write_json
from bundle.networks import DiCE
from tests.conftest import ROOT
from tests.networks.test_dice import TINY


class Harmful:
    """Unpickling this would run a command."""

    def __reduce__(self):
        return (print, ("executed",))


def test_round_trip(tmp_path, scan):
    network = DiCE(scan, **TINY)
    save_checkpoint(network.state_dict(), tmp_path / "model.pt")
    other = load_network(DiCE(scan, **TINY), tmp_path / "model.pt")
    assert weights_hash(other) == weights_hash(network)
    save_checkpoint({"network": network.state_dict(), "epoch": 3}, tmp_path / "training.pt")
    assert weights_hash(load_network(DiCE(scan, **TINY), tmp_path / "training.pt")) == weights_hash(network)


def test_weights_of_a_stage_without_denoising(tmp_path, scan):
    """The message says how to use them; of other differences it says no such thing."""
    save_checkpoint(DiCE(scan, **TINY).state_dict(), tmp_path / "pretrain.pt")
    with pytest.raises(InputError, match=r"pretrain\.pt.*put configs/without_denoising\.json last"):
        load_network(DiCE(scan, **TINY, denoise_blocks=1), tmp_path / "pretrain.pt")
    with pytest.raises(InputError, match="configuration that they were trained with"):
        load_network(DiCE(scan, **{**TINY, "decoder_channels": 20}, denoise_blocks=1), tmp_path / "pretrain.pt")


def test_code_is_never_executed(tmp_path, capsys):
    torch.save({"network": Harmful()}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match=r"evil\.pt.*plain tensors"):
        read_checkpoint(tmp_path / "evil.pt")
    (tmp_path / "old.pt").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(InputError, match=r"old\.pt"):
        read_checkpoint(tmp_path / "old.pt")
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"garbage", b"abc", b".", b"\x80\x02}q\x00(X", b"PK\x03\x04aaaa", None])
def test_unreadable(tmp_path, content):
    path = tmp_path / "bad.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.pt"):
        read_checkpoint(path)


def test_truncated(tmp_path, scan):
    save_checkpoint(DiCE(scan, **TINY).state_dict(), tmp_path / "model.pt")
    content = (tmp_path / "model.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"cut\.pt"):
        read_checkpoint(tmp_path / "cut.pt")
    pickled = content.index(b"\x80\x02")
    for place in range(pickled + 2, pickled + 60):  # a damaged byte ends the unpickling in many ways, or in none
        (tmp_path / "cut.pt").write_bytes(content[:place] + b"\xff" + content[place + 1 :])
        with suppress(InputError):
            read_checkpoint(tmp_path / "cut.pt")


def test_other_architectures_are_listed(tmp_path, scan):
    save_checkpoint(DiCE(scan, **{**TINY, "decoder_channels": 12}).state_dict(), tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"model\.pt.*misshapen embedding\.decoders\.0.*and \d+ more"):
        load_network(DiCE(scan, **TINY), tmp_path / "model.pt")
    save_checkpoint({"weight": torch.zeros(3)}, tmp_path / "linear.pt")
    with pytest.raises(InputError, match="missing"):
        load_network(DiCE(scan, **TINY), tmp_path / "linear.pt")


def test_only_named_entries_may_be_missing(tmp_path, scan):
    """View adjustment starts from weights without denoising layers; nothing else may be absent."""
    before, after = DiCE(scan, **TINY), DiCE(scan, denoise_blocks=2, **TINY)
    save_checkpoint(before.state_dict(), tmp_path / "model.pt")
    with pytest.raises(InputError, match="denoisers"):
        load_network(after, tmp_path / "model.pt")
    load_network(after, tmp_path / "model.pt", may_be_missing=["embedding.denoisers."])
    assert torch.equal(after.encoder.stem.conv.weight, before.encoder.stem.conv.weight)
    save_checkpoint(after.state_dict(), tmp_path / "after.pt")
    with pytest.raises(InputError, match="unknown"):
        load_network(before, tmp_path / "after.pt", may_be_missing=["embedding.denoisers."])


def test_a_flipped_bit_is_found_by_the_files_own_checksums(tmp_path, scan):
    """torch.load compares none of them."""
    network = DiCE(scan, **TINY)
    save_checkpoint(network.state_dict(), tmp_path / "model.pt")
    content = bytearray((tmp_path / "model.pt").read_bytes())
    weights = network.encoder.stem.conv.weight.detach().numpy().tobytes()
    content[content.index(weights) + 5] ^= 1
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(InputError, match=r"model\.pt: does not match its own checksum in .*It is damaged"):
        read_checkpoint(tmp_path / "model.pt")


def test_older_files_without_checksums_are_read(tmp_path, scan):
    state = DiCE(scan, **TINY).state_dict()
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert set(read_checkpoint(tmp_path / "old.pt")) == set(state)


def _deep(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.zeros(1).expand(200_000), r"a tensor that says it is \(200000,\) and holds fewer numbers as a"),
        (torch.zeros(3, 3).to_sparse(), "a sparse tensor as a"),
        (torch.zeros(3, dtype=torch.complex64), "a tensor of complex numbers as a"),
        (torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.qint8), "a quantized tensor as a"),
        (torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]), "a nested tensor as a"),
        ({"b": [torch.zeros(1).expand(9)]}, r"a tensor that says it is \(9,\) and holds fewer numbers as a\.b\.0"),
        (_deep(80), "nested more than 64 deep"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_is_no_array_of_numbers_is_refused(tmp_path, value, message):
    torch.save({"a": value}, tmp_path / "model.pt")
    with pytest.raises(InputError, match=rf"model\.pt: (has|is) {message}"):
        read_checkpoint(tmp_path / "model.pt")


def test_files_that_are_no_weights(tmp_path):
    torch.save(7, tmp_path / "int.pt")
    with pytest.raises(InputError, match=r"int\.pt: holds a int"):
        read_checkpoint(tmp_path / "int.pt")
    os.mkfifo(tmp_path / "pipe.pt")
    with pytest.raises(InputError, match=r"pipe\.pt: is a pipe"):
        read_checkpoint(tmp_path / "pipe.pt")
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(2**20))
    with pytest.raises(InputError, match=r"bomb\.pt: unpacks to far more than its size"):
        read_checkpoint(tmp_path / "bomb.pt")


NAME = "encoder.stem.conv.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: {**state, NAME: state[NAME] * float("nan")}, f"holds NaN or infinite weights: {NAME}"),
        (lambda state: {**state, NAME: state[NAME] + 1e30}, f"holds weights that cannot be: {NAME} of 1e\\+30"),
        (lambda state: {**state, NAME: state[NAME].int()}, f"{NAME} of int32, expected float32"),
        (lambda state: {name: torch.zeros_like(value) for name, value in state.items()}, "holds nothing but zeros"),
        (lambda state: {name: -value for name, value in state.items()}, "running_var below 0"),
        (lambda state: {**state, NAME: state[NAME].tolist()}, f"has entries that are no tensors: {NAME}"),
        (lambda state: {**state, 7: state[NAME]}, "has entries that are no tensors: 7"),
        (lambda state: {"network": list(state.values())}, "has a list where weights belong"),
    ],
)
def test_weights_that_cannot_be(tmp_path, scan, change, message):
    network = DiCE(scan, **TINY)
    torch.save(change(network.state_dict()), tmp_path / "model.pt")
    before = weights_hash(network)
    with pytest.raises(InputError, match=rf"model\.pt: .*{message}"):
        load_network(network, tmp_path / "model.pt")
    assert weights_hash(network) == before


def test_half_precision_is_as_good(tmp_path, scan):
    network = DiCE(scan, **TINY)
    halves = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    save_checkpoint(halves, tmp_path / "model.pt")
    load_network(network, tmp_path / "model.pt")


def test_a_network_takes_no_part_of_other_weights(scan):
    """As monai.bundle.load would make it do of weights of another network."""
    network, other = DiCE(scan, **TINY), DiCE(scan, **{**TINY, "decoder_channels": 12})
    copy_model_state(network, DiCE(scan, **TINY))
    with pytest.raises(InputError, match=r"is not the network of these weights: \d+ of its \d+ entries .* random"):
        copy_model_state(network, other)


def test_shipped_weights_are_compared_with_the_metadata(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped_weights, "ROOT", tmp_path)
    monkeypatch.setattr(shipped_weights, "_METADATA", tmp_path / "metadata.json")
    path = tmp_path / "models" / "model.pt"
    save_checkpoint({"a": torch.ones(4)}, path)
    write_json({"weights": {"models/model.pt": shipped_weights.describe_weights(path)}}, tmp_path / "metadata.json")
    read_checkpoint(path)
    save_checkpoint({"a": torch.zeros(4)}, path)  # sound in itself, and of the same size
    with pytest.raises(InputError, match=r"model\.pt: is not what was shipped: its SHA-256 is"):
        read_checkpoint(path)
    save_checkpoint({"a": torch.zeros(4000)}, path)  # trained here
    read_checkpoint(path)


@pytest.mark.parametrize("name", ["model.pt", "pretrain.pt"])
def test_the_metadata_has_the_shipped_weights(name):
    metadata = read_json_object(ROOT / "configs" / "metadata.json")
    assert metadata["weights"][f"models/{name}"] == shipped_weights.describe_weights(ROOT / "models" / name)

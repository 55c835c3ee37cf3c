from __future__ import annotations

import pickle
from contextlib import suppress

import pytest
import torch

from bundle.checkpoint import load_network, read_checkpoint, save_checkpoint, weights_hash
from bundle.errors import InputError
from bundle.networks import DiCE
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

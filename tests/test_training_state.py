from __future__ import annotations

import json
import os
import shutil
import time

import pytest
import torch

from bundle.checkpoint import read_checkpoint, save_checkpoint
from bundle.checksums import file_sha256
from bundle.errors import InputError
from bundle.handlers.resume import checkpoint_epoch
from bundle.json_files import write_json
from bundle.training_state import pack_state, unpack_state
from tests.handlers.test_resume import flat
from tests.workflows import DEMO, TRAIN, run, small

STAGE = "models/checkpoints/pretrain"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A short training, and the mean loss and options of its first two epochs."""
    folder = tmp_path_factory.mktemp("trained")
    run([TRAIN, DEMO], **small(folder, max_epochs=2))
    return folder


def test_training_goes_on_from_a_packed_state(tmp_path, trained):
    files = pack_state(trained / STAGE, tmp_path / "packed", largest_mb=0.05)
    assert len(files) > 4
    assert all(file.stat().st_size < 0.05e6 for file in files if file.name.startswith("state_part"))
    elsewhere = tmp_path / "elsewhere"
    unpack_state(tmp_path / "packed", elsewhere / STAGE)
    done = run([TRAIN, DEMO], **small(elsewhere, max_epochs=3))
    assert done.trainer.state.epoch == 3
    assert done.trainer.state.iteration == 6
    straight = run([TRAIN, DEMO], **small(trained, max_epochs=3))
    loss, expected = (float(one.trainer.state.output[0]["loss"]) for one in (done, straight))
    assert loss == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("brought", [False, True])
def test_going_on_elsewhere_leaves_a_model(tmp_path, trained, brought):
    """Even if it never gets better again, since the best one stayed behind; one that was brought is kept."""
    pack_state(trained / STAGE, tmp_path / "packed")
    path = unpack_state(tmp_path / "packed", tmp_path / STAGE)
    state = read_checkpoint(path)
    state["best_saver"]["_saved"] = [(99.0, "more dB than anything reaches")]
    save_checkpoint(state, path)
    model = tmp_path / "models" / "pretrain.pt"
    if brought:
        model.write_bytes(b"the best")
    run([TRAIN, DEMO], **small(tmp_path, max_epochs=checkpoint_epoch(path.name) + 1))
    assert (model.read_bytes() == b"the best") == brought


def test_half_precision_loses_little_and_the_rest_nothing(tmp_path, trained):
    pack_state(trained / STAGE, tmp_path / "packed")
    path = unpack_state(tmp_path / "packed", tmp_path / "back")
    before, after = dict(flat(read_checkpoint(trained / STAGE / path.name))), dict(flat(read_checkpoint(path)))
    assert before.keys() == after.keys()
    changed = 0
    for name, value in before.items():
        if isinstance(value, torch.Tensor):
            assert after[name].dtype == value.dtype
            large = value.numel() >= 1024 and value.dtype == torch.float32
            changed += large
            torch.testing.assert_close(after[name], value, rtol=2**-8 if large else 0, atol=1e-7 if large else 0)
        else:
            assert after[name] == value, name
    assert changed > 3


def test_an_exact_checkpoint_is_not_replaced_by_its_copy(tmp_path, trained):
    shutil.copytree(trained / STAGE, tmp_path / "own")
    pack_state(tmp_path / "own", tmp_path / "packed")
    before = {path.name: path.read_bytes() for path in (tmp_path / "own").iterdir()}
    with pytest.raises(InputError, match=r"checkpoint_epoch=\d\.pt: is there already"):
        unpack_state(tmp_path / "packed", tmp_path / "own")
    assert {path.name: path.read_bytes() for path in (tmp_path / "own").iterdir()} == before


def test_a_later_state_replaces_an_earlier_one(tmp_path, trained):
    first = pack_state(trained / STAGE, tmp_path / "packed", largest_mb=0.05)
    second = pack_state(trained / STAGE, tmp_path / "packed")
    assert len(second) < len(first)
    assert sorted(path.name for path in (tmp_path / "packed").iterdir()) == sorted(path.name for path in second)


def test_refusals(tmp_path, trained):
    with pytest.raises(InputError, match="has no training checkpoint"):
        pack_state(tmp_path, tmp_path / "packed")
    with pytest.raises(InputError, match="is less than a tensor of"):
        pack_state(trained / STAGE, tmp_path / "packed", largest_mb=0.002)
    with pytest.raises(InputError, match=r"has no state\.json"):
        unpack_state(tmp_path, tmp_path / "back")
    pack_state(trained / STAGE, tmp_path / "packed")
    part = tmp_path / "packed" / "state_part0.pt"
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"state_part0\.pt.*is missing or not what was packed"):
        unpack_state(tmp_path / "packed", tmp_path / "back")
    listing = json.loads((tmp_path / "packed" / "state.json").read_text())
    for name in ("../evil.pt", "/tmp/evil.pt"):
        (tmp_path / "packed" / "state.json").write_text(json.dumps({**listing, "checkpoint": name}))
        with pytest.raises(InputError, match="does not list a training state"):
            unpack_state(tmp_path / "packed", tmp_path / "back")


@pytest.mark.parametrize("age_s", [-10, 1e5])
def test_later_checkpoints_are_not_gone_back_from(tmp_path, trained, age_s):
    """Whatever the files' times: training resumes from the latest epoch."""
    pack_state(trained / STAGE, tmp_path / "packed")
    path = unpack_state(tmp_path / "packed", tmp_path / "back")
    later, earlier = path.with_name("checkpoint_epoch=99.pt"), path.with_name("checkpoint_epoch=0.pt")
    path.rename(later)
    os.utime(later, (time.time() - age_s,) * 2)
    with pytest.raises(InputError, match=r"has checkpoint_epoch=99\.pt, which is later"):
        unpack_state(tmp_path / "packed", tmp_path / "back")
    later.rename(earlier)
    assert unpack_state(tmp_path / "packed", tmp_path / "back") == path


@pytest.mark.parametrize(
    "frame",
    [
        {"frame": [1], "dtypes": []},
        {"dtypes": [torch.float32]},
        {"frame": {"network": {"tensor of the parts": 5}}, "dtypes": [torch.float32]},
        {"frame": {"network": {"tensor of the parts": 0}}, "dtypes": [32]},
        {"frame": {"network": {"tensor of the parts": "0"}}, "dtypes": [torch.float32]},
    ],
)
def test_frames_of_nothing(tmp_path, frame):
    """Sound files with the right checksums, of something else."""
    save_checkpoint(frame, tmp_path / "state_frame.pt")
    save_checkpoint({"0": torch.zeros(3)}, tmp_path / "state_part0.pt")
    files = {name: file_sha256(tmp_path / name) for name in ("state_frame.pt", "state_part0.pt")}
    write_json({"checkpoint": "checkpoint_epoch=1.pt", "files": files}, tmp_path / "state.json")
    with pytest.raises(InputError, match=r"state_frame\.pt: is not the frame of a packed training state"):
        unpack_state(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_epochs_are_numbers_of_some_digits():
    assert checkpoint_epoch("checkpoint_epoch=12.pt") == 12
    assert checkpoint_epoch(f"checkpoint_epoch={'9' * 5000}.pt") is None

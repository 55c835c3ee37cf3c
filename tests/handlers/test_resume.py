"""Checkpoints, exact resume, and kills at any moment."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
import torch

from bundle.checkpoint import read_checkpoint
from bundle.handlers import CheckpointSaver, RunSettings
from bundle.handlers.resume import latest_checkpoint
from tests.conftest import ROOT
from tests.workflows import DEMO, STAGES, TRAIN, command_line, refused, run, small

NOISY = {
    "_target_": "bundle.physics.acquisition.Acquisition",
    "noise": {"_target_": "bundle.physics.noise.DetectorNoise"},
}


def flat(state, prefix=""):
    """Every leaf of a checkpoint by its path."""
    if isinstance(state, dict):
        for key, value in state.items():
            yield from flat(value, f"{prefix}/{key}")
    elif isinstance(state, (list, tuple)):
        for i, value in enumerate(state):
            yield from flat(value, f"{prefix}/{i}")
    else:
        yield prefix, state


def assert_equal_checkpoints(first, second):
    a, b = dict(flat(read_checkpoint(first))), dict(flat(read_checkpoint(second)))
    assert a.keys() == b.keys()
    differing = [
        key for key in a if not (torch.equal(a[key], b[key]) if isinstance(a[key], torch.Tensor) else a[key] == b[key])
    ]
    assert not differing


@pytest.mark.parametrize("stage", ["pretrain", "finetune_step2"])
@pytest.mark.parametrize("workers", [0, 1])
def test_resumed_run_equals_uninterrupted_run(tmp_path, stage, workers):
    """Weights, optimiser, codebooks, epoch, best metric: bit for bit, with and without data-loading workers."""
    if stage == "finetune_step2" and workers:
        pytest.skip("one stage suffices for the workers")
    changes = {"initial_weights": None, "num_workers": workers}
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    run([*STAGES[stage], DEMO], **small(straight, max_epochs=4, **changes))
    run([*STAGES[stage], DEMO], **small(resumed, max_epochs=2, **changes))
    run([*STAGES[stage], DEMO], **small(resumed, max_epochs=4, **changes))
    checkpoints = [
        folder / "models" / "checkpoints" / stage / "checkpoint_epoch=4.pt" for folder in (straight, resumed)
    ]
    assert_equal_checkpoints(*checkpoints)


def test_finished_run_does_not_start_again(tmp_path):
    done = run([*STAGES["pretrain"], DEMO], **small(tmp_path, max_epochs=2))
    assert done.trainer.state.iteration == 4
    again = run([*STAGES["pretrain"], DEMO], **small(tmp_path, max_epochs=2))
    assert again.trainer.state.iteration == 4
    assert again.trainer.state.output is None  # no step was taken


@pytest.mark.parametrize("off", [False, "false"])  # Fire leaves JSON's spelling as text
def test_resume_can_be_switched_off(tmp_path, off):
    run([*STAGES["pretrain"], DEMO], **small(tmp_path, max_epochs=2))
    anew = run([*STAGES["pretrain"], DEMO], **small(tmp_path, max_epochs=1, resume=off))
    assert anew.trainer.state.epoch == 1


def test_a_run_that_torchrun_starts_again_goes_on(tmp_path, monkeypatch):
    """With the same command, which may have been to start anew."""
    run([*STAGES["pretrain"], DEMO], **small(tmp_path, max_epochs=2))
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    again = run([*STAGES["pretrain"], DEMO], **small(tmp_path, max_epochs=3, resume=False))
    assert again.trainer.state.iteration == 6


def test_checkpoint_of_another_network_is_refused(tmp_path):
    run([*STAGES["pretrain"], DEMO], **small(tmp_path))
    with refused(r"checkpoint_epoch=1\.pt.*another architecture: misshapen"):
        run([*STAGES["pretrain"], DEMO], **small(tmp_path, max_epochs=2, decoder_channels=12))


def test_two_checkpoints_are_kept(tmp_path):
    run([*STAGES["pretrain"], DEMO], **small(tmp_path, max_epochs=4))
    folder = tmp_path / "models" / "checkpoints" / "pretrain"
    assert sorted(p.name for p in folder.iterdir()) == ["checkpoint_epoch=3.pt", "checkpoint_epoch=4.pt"]
    assert latest_checkpoint(folder).name == "checkpoint_epoch=4.pt"


def test_failed_save_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    """MONAI's own saver writes in place; ours must not."""
    from ignite.engine import Engine

    engine, network = Engine(lambda e, b: None), torch.nn.Linear(2, 2)
    CheckpointSaver(str(tmp_path), {"network": network}, save_final=True, final_filename="model.pt").attach(engine)
    engine.run([0])
    before = (tmp_path / "model.pt").read_bytes()

    def fail(content, file, **kwargs):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(KeyboardInterrupt):
        engine.run([0], max_epochs=2)
    assert (tmp_path / "model.pt").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]


def test_another_runs_checkpoints_are_refused(tmp_path):
    """The same stage with other data or views is another run, and must not pass for a finished one."""
    run([*STAGES["pretrain"], DEMO], **small(tmp_path, max_epochs=1))
    changes = {"num_sparse": [6], "preset": "knee", "learning_rate": 1e-5, "batch_size": 4, "acquisition": NOISY}
    changes |= {"low_resolution": 5, "freeze": ["encoder"], "prepared_projections": False}
    changes["val_num_sparse"] = 5  # the best score so far is of another task
    for name, value in changes.items():
        with refused(rf"checkpoint_epoch=1\.pt.*other settings: {name} .*now"):
            run([*STAGES["pretrain"], DEMO], **small(tmp_path, max_epochs=2, **{name: value}))
    run([*STAGES["pretrain"], DEMO], **small(tmp_path, max_epochs=2, num_workers=1, val_interval=2))


def test_checkpoints_that_lack_a_setting_are_resumed(tmp_path):
    """Those of a version that did not keep it; what it kept must agree."""
    now = RunSettings({"seed": 1, "jitter": None, "acquisition": "noisy"})
    now.load_state_dict({"seed": 1})
    with refused("other settings: seed 2"):
        now.load_state_dict({"seed": 2})
    with refused("other settings: generated"):
        now.load_state_dict({"seed": 1, "generated": [0.5]})


def test_epochs_of_another_length(tmp_path):
    """As on another number of processes: an epoch is still all items once."""
    files = [*STAGES["pretrain"], DEMO]
    before = run(files, **small(tmp_path, max_epochs=2)).trainer.state
    length, share = before.epoch_length, before.epoch_length // 2
    assert before.iteration == 2 * length
    trainer = run(files, **small(tmp_path, max_epochs=4, **{"train#dataloader#batch_size": 4})).trainer
    assert (trainer.state.epoch, trainer.state.epoch_length, trainer.state.iteration) == (4, share, 4 * share)
    state = read_checkpoint(tmp_path / "models" / "checkpoints" / "pretrain" / "checkpoint_epoch=4.pt")
    assert state["optimizer"]["state"][0]["step"] == 2 * length + 2 * share


def test_starting_anew_forgets_the_old_checkpoints(tmp_path):
    folder = tmp_path / "models" / "checkpoints" / "pretrain"
    run([*STAGES["pretrain"], DEMO], **small(tmp_path, max_epochs=3))
    run([*STAGES["pretrain"], DEMO], **small(tmp_path, max_epochs=1, resume=False, num_sparse=[6]))
    assert [path.name for path in folder.iterdir()] == ["checkpoint_epoch=1.pt"]


def test_sigkill_at_any_moment(tmp_path, child_env):
    """A run that is killed again and again ends with the same checkpoint as one that was left alone."""
    epochs, folder = 12, tmp_path / "killed" / "models" / "checkpoints" / "pretrain"
    changes = {"max_epochs": epochs, "cases_repeated": 2, "val_interval": 4}
    command = [sys.executable, "-m", "monai.bundle", "run", "training", "--config_file", f"['{TRAIN}','{DEMO}']"]
    command += command_line(small(tmp_path / "killed", **changes))
    for kill, delay in enumerate((0.0, 0.15)):
        seen = latest_checkpoint(folder)
        process = subprocess.Popen(
            command, cwd=ROOT, env=child_env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            deadline = time.monotonic() + 120
            while latest_checkpoint(folder) == seen and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(delay)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert process.returncode == -signal.SIGKILL, f"run {kill} ended by itself"
        for path in folder.glob("checkpoint_epoch=*.pt"):
            read_checkpoint(path)
    assert latest_checkpoint(folder) is not None
    run([*STAGES["pretrain"], DEMO], **small(tmp_path / "killed", **changes))
    run([*STAGES["pretrain"], DEMO], **small(tmp_path / "straight", **changes))
    straight = tmp_path / "straight" / "models" / "checkpoints" / "pretrain"
    assert_equal_checkpoints(*(f / f"checkpoint_epoch={epochs}.pt" for f in (folder, straight)))

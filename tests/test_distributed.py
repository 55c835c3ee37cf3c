"""Training by several processes under torchrun: nodes that meet, and validation in shares."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from bundle.checkpoint import read_checkpoint
from bundle.handlers.resume import latest_checkpoint
from tests.conftest import ROOT
from tests.handlers.test_resume import assert_equal_checkpoints
from tests.workflows import DEMO, TRAIN, command_line, small, torchrun

DYING = """
import os, signal
from pathlib import Path
from ignite.engine import Events

class DieOnce:
    def __init__(self, epoch, marker):
        self.epoch, self.marker = epoch, Path(marker)

    def attach(self, engine):
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine):
        # The second epoch is over, and its checkpoint is written.
        if engine.state.epoch == self.epoch + 1 and os.environ["RANK"] == "1" and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
"""
FILES = [TRAIN, "configs/multi_gpu_train.json", DEMO]


def overlay(folder: Path, **content: object) -> str:
    """A configuration file."""
    path = folder / "overlay.json"
    path.write_text(json.dumps(content))
    return str(path)


def multi_gpu_imports() -> list[str]:
    """What an overlay that adds some has to repeat."""
    return json.loads((ROOT / "configs" / "multi_gpu_train.json").read_text())["imports"]


def arguments(run_id: str, files: list[str], changes: dict[str, Any]) -> list[str]:
    """Of ``monai.bundle run``."""
    return [run_id, "--config_file", str(files), *command_line(changes)]


def finished(process: subprocess.Popen) -> str:
    """What a process said, once it has ended well."""
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 0, said
    return said


def start(command: list[str], environment: dict[str, str]) -> subprocess.Popen:
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_two_nodes_train_what_two_processes_of_one_do(tmp_path, worker_env):
    """Two launchers meet at an address, as on a cluster; the weights are those of one launcher with two processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    apart, together = tmp_path / "apart", tmp_path / "together"
    meeting = ("--nnodes=2", "--nproc_per_node=1", "--rdzv_backend=c10d", "--rdzv_id=test")
    launch = (*meeting, f"--rdzv_endpoint=127.0.0.1:{port}")
    node = torchrun(*arguments("training", FILES, small(apart, cases_repeated=8)), launch=launch)
    for process in [start(node, worker_env) for _ in range(2)]:
        finished(process)
    finished(start(torchrun(*arguments("training", FILES, small(together, cases_repeated=8))), worker_env))
    one, other = (read_checkpoint(folder / "models" / "pretrain.pt") for folder in (apart, together))
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_validation_in_shares_gives_the_same_figures(tmp_path, worker_env):
    """Three cases in two shares of unequal size, and in one process."""
    rng = np.random.default_rng(0)
    data = tmp_path / "data"
    data.mkdir()
    for case in "abc":
        hu = (
            (rng.uniform(-200, 400) + rng.normal(0, 200, (12, 11, 10)).cumsum(axis=2))
            .clip(-1000, 1500)
            .astype(np.float32)
        )
        hu[0] = -1000
        nib.save(nib.Nifti1Image(hu, np.diag([20.0, 21.0, 22.0, 1.0])), data / f"{case}.nii.gz")
    names = [{"image": f"{case}.nii.gz"} for case in "abc"]
    (data / "dataset.json").write_text(json.dumps({"training": names, "validation": names}))
    found = {}
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        (folder / "out").mkdir(parents=True)
        written = "$json.dump(@validate#evaluator.state.metrics, open(@output_dir + '/' + str(@rank) + '.json', 'w'))"
        imports = [*multi_gpu_imports(), "$import json"]
        # An untrained network gives almost nothing; the metric needs it to give something.
        bias = "$@network_def.point_decoder.layers[-1][0].bias.data.fill_(0.4)"
        checked = overlay(folder, imports=imports, validating=[bias, "$@validate#evaluator.run()", written])
        changes = small(folder, dataset_dir=str(data), cache_projections=False)
        launch = ("--standalone", f"--nproc_per_node={processes}")
        command = torchrun(*arguments("validating", [*FILES, checked], changes), launch=launch)
        finished(start(command, worker_env))
        found[processes] = [json.loads(path.read_text()) for path in sorted((folder / "out").glob("*.json"))]
    (alone,), shares = found[1], found[2]
    assert len(shares) == 2
    for share in shares:
        assert share["val_psnr"] == pytest.approx(alone["val_psnr"], rel=1e-6)
    assert 1 < alone["val_psnr"] < 60


@pytest.mark.parametrize("more", [[], ["configs/averaged.json"]])
def test_all_processes_validate_one_network(tmp_path, worker_env, more):
    """Each has moved its batch statistics by its own last batch; the first one's are scored, and saved."""
    (tmp_path / "out").mkdir()
    written = "$torch.save(@validate#evaluator.network.state_dict(), @output_dir + '/' + str(@rank) + '.pt')"
    checked = overlay(tmp_path, training=["$@train#trainer.run()", written])
    files = [*FILES, *more, checked]
    finished(start(torchrun(*arguments("training", files, small(tmp_path, cases_repeated=8))), worker_env))
    paths = (tmp_path / "out" / "0.pt", tmp_path / "out" / "1.pt", tmp_path / "models" / "pretrain.pt")
    first, second, saved = (read_checkpoint(path) for path in paths)
    for other in (second, saved):
        assert [name for name in first if not torch.equal(first[name], other[name])] == []


def test_a_killed_process_restarts_from_the_last_checkpoint(tmp_path, worker_env):
    """One of two is killed after the second epoch; torchrun starts both again, with the same end."""
    (tmp_path / "killed").mkdir()
    (tmp_path / "dying.py").write_text(DYING)
    imports = [*multi_gpu_imports(), "$import dying"]
    dying = {"_target_": "dying.DieOnce", "epoch": 2, "marker": str(tmp_path / "died")}
    fatal = overlay(tmp_path / "killed", imports=imports, **{"+train#handlers": [dying]})
    environment = {**worker_env, "PYTHONPATH": f"{worker_env['PYTHONPATH']}:{tmp_path}"}
    launch = ("--standalone", "--nproc_per_node=2", "--max_restarts=1")
    killed, straight = (small(tmp_path / name, max_epochs=4, cases_repeated=8) for name in ("killed", "straight"))
    said = finished(start(torchrun(*arguments("training", [*FILES, fatal], killed), launch=launch), environment))
    assert (tmp_path / "died").exists()
    for epoch in (1, 2, 3, 4):  # none of them twice
        assert said.count(f"Saved checkpoint at epoch: {epoch}") == 1, said
    finished(start(torchrun(*arguments("training", FILES, straight)), worker_env))
    names = [
        latest_checkpoint(tmp_path / name / "models" / "checkpoints" / "pretrain") for name in ("killed", "straight")
    ]
    assert_equal_checkpoints(*names)

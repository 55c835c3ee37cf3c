"""Joining and leaving the processes of a training."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT

LEAVING = """
import sys, torch, torch.distributed as dist
from bundle.process_group import join_processes, leave_processes
join_processes()
sys.setswitchinterval(1000)  # no thread gets the interpreter that is not given it
torch.held = dist.group.WORLD  # until the interpreter is gone
for _ in range(3):
    dist.all_gather([torch.zeros(1), torch.zeros(1)], torch.ones(1))
leave_processes()
assert not dist.is_initialized()
leave_processes()
"""


def test_processes_that_hold_their_group_end_well(tmp_path, worker_env):
    """The threads of the group may still have the tensors that they gathered."""
    script = tmp_path / "leaving.py"
    script.write_text(LEAVING)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(script)]
    done = subprocess.run(command, cwd=ROOT, env=worker_env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

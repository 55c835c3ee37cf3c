"""Meeting the other processes of a training, and leaving them."""

from __future__ import annotations

import os
import time

import ignite.distributed as idist
import torch
import torch.distributed as dist

__all__ = ["join_processes", "leave_processes"]

_LET_GO_S = 0.5


def join_processes() -> None:
    """Joins the processes that torchrun started, on GPUs by NCCL and otherwise by gloo; again after a restart.

    torchrun keeps its store of addresses when it restarts the processes, and PyTorch 2.13 then looks for the members of
    further groups at the addresses of the dead. So every start gets names of its own in that store. Ignite makes such
    a group when a handler asks for the first time, which not every process does; here all make it together.
    """
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = dist.TCPStore(address, port, size, is_master=False)
        named = dist.PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
        dist.init_process_group(backend, store=named, rank=rank, world_size=size)
    else:
        dist.init_process_group(backend)
    idist.sync()


def leave_processes() -> None:
    """Leaves the group, if there is one; only then may the process end.

    Gloo's threads live as long as something holds the group, as DistributedDataParallel does. Each has to have the
    interpreter for a moment, to let go of the tensors of its last operation; one that waits for it while the process
    ends aborts the process (https://github.com/pytorch/pytorch/issues/190489).
    """
    if dist.is_initialized():
        dist.destroy_process_group()
        time.sleep(_LET_GO_S)

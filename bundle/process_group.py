"""Meeting the other processes of a training."""

from __future__ import annotations

import os

import ignite.distributed as idist
import torch
import torch.distributed as dist

__all__ = ["join_processes"]


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

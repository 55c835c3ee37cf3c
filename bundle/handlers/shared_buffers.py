"""One network for all processes to validate."""

from __future__ import annotations

import torch.distributed as dist
from ignite.engine import Engine, Events
from monai.engines import Evaluator

__all__ = ["SharedBuffers"]


class SharedBuffers:
    """Gives every process the first one's batch statistics before a validation.

    Each process's last batch moves its own, so that shares of the cases would be scored with different networks, of
    which the first process's is saved.
    """

    def attach(self, engine: Evaluator) -> None:
        """Shares when the evaluator starts."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Evaluator | Engine) -> None:
        """Sends the first process's buffers of the network that the evaluator scores."""
        if dist.is_initialized():
            for buffer in engine.network.buffers():  # type: ignore[union-attr]  # ignite's engines have none
                dist.broadcast(buffer, src=0)

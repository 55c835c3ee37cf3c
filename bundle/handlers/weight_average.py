"""A running average of the weights, which is scored and kept in place of the last ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from ignite.engine import Engine, Events
from torch import nn
from torch.optim.swa_utils import AveragedModel

from bundle.errors import InputError

if TYPE_CHECKING:
    from bundle.engines.trainers import SparseViewTrainer

__all__ = ["WeightAverage"]

_Tensors = tuple[torch.Tensor, ...] | list[torch.Tensor]


class WeightAverage:
    """Averages the weights, batch statistics and codebooks exponentially after every step.

    At a constant learning rate the average is about as good as weights after the rate was lowered, and training may go
    on from any point without a schedule's end (Polyak averaging; Karras et al., *Analyzing and improving the training
    dynamics of diffusion models*, 2024). It starts as the weights of the first step; while fewer steps were done than
    ``decay`` looks back on, the average is over about the latest tenth of them.

    Put it into the saved state as well: a resumed run goes on with its average.

    Args:
        network: the network that is trained.
        decay: how much of the average a step keeps, at most.

    Raises:
        InputError: when decay is not in [0, 1).
    """

    def __init__(self, network: nn.Module, decay: float = 0.995) -> None:
        if not 0 <= decay < 1:
            raise InputError("average_decay", f"is {decay}.", "Give a number of at least 0 and less than 1.")
        self.source = network
        self.decay = float(decay)
        self.average = AveragedModel(network, multi_avg_fn=self._blend, use_buffers=True)
        self.average.requires_grad_(False)

    @property
    def network(self) -> nn.Module:
        """The averaged network."""
        return self.average.module

    def attach(self, engine: Engine) -> None:
        """Averages after every iteration in which the optimiser moves."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: SparseViewTrainer | None = None) -> None:
        """Takes the current weights in; without an engine always."""
        if engine is None or engine.is_step():
            self.average.update_parameters(self.source)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The average, and the number of steps in it."""
        return self.average.state_dict()

    def load_state_dict(self, state_dict: dict[str, torch.Tensor]) -> None:
        """Takes up the average of an earlier part of the run."""
        self.average.load_state_dict(state_dict)

    @torch.no_grad()
    def _blend(self, averages: _Tensors, current: _Tensors, steps: torch.Tensor | int) -> None:
        if not averages[0].is_floating_point():  # counts and flags
            torch._foreach_copy_(averages, current)
            return
        done = int(steps)
        torch._foreach_lerp_(averages, current, 1.0 - min(self.decay, (1 + done) / (10 + done)))

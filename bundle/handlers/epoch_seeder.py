"""Randomness as a function of seed, epoch and rank alone."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import set_rnd

__all__ = ["EpochSeeder"]


class EpochSeeder:
    """Seeds every generator at the start of each epoch, from the engine's ``state.seed``.

    All that is drawn in an epoch (order of cases, views, points, noise, codes to restart) then follows from the
    seed, the epoch and the rank, so that a run resumed at an epoch repeats an uninterrupted one exactly, whatever
    the number of data-loading workers.

    Args:
        rank: rank of this process.
    """

    def __init__(self, rank: int = 0) -> None:
        self.rank = int(rank)

    def attach(self, engine: Engine) -> None:
        """Seeds when an epoch starts, before the data loader draws its order."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Seeds for the epoch that starts."""
        seed: Any = engine.state.seed  # every trainer has one
        state = int(np.random.SeedSequence([seed, engine.state.epoch, self.rank]).generate_state(1)[0])
        random.seed(state)
        np.random.seed(state)
        torch.manual_seed(state)
        loader: Any = engine.state.dataloader
        if hasattr(loader, "dataset"):
            set_rnd(loader.dataset, seed=state)
        sampler: Any = getattr(loader, "sampler", None)
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(engine.state.epoch)

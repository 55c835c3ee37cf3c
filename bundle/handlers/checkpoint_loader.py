"""Loading weights into a network at the start of a run."""

from __future__ import annotations

import os
from collections.abc import Sequence

import monai.handlers
from ignite.engine import Engine
from monai.engines import Evaluator
from torch import nn

from bundle.checkpoint import load_network
from bundle.errors import InputError

__all__ = ["CheckpointLoader"]


class CheckpointLoader(monai.handlers.CheckpointLoader):
    """MONAI's CheckpointLoader for one network, listing every entry that does not fit.

    Args:
        load_path: weights, or a training checkpoint; None loads nothing.
        load_dict: the network by its name in a training checkpoint, {"network": network}.
        may_be_missing: name prefixes whose entries may be absent from the file.
    """

    def __init__(
        self, load_path: str | os.PathLike | None, load_dict: dict[str, nn.Module], may_be_missing: Sequence[str] = ()
    ) -> None:
        super().__init__("" if load_path is None else os.fspath(load_path), load_dict)
        if len(load_dict) != 1:
            raise ValueError(f"load_dict has {len(load_dict)} entries; give the network alone.")
        self.may_be_missing = tuple(may_be_missing)

    def __call__(self, engine: Engine) -> None:
        """Loads the weights when the engine starts.

        Raises:
            InputError: when they do not fit, or an evaluator has another network than the one that they are for.
        """
        if not self.load_path:
            return
        if isinstance(engine, Evaluator) and getattr(engine, "network", None) not in self.load_dict.values():
            raise InputError(
                "validate#evaluator#network",
                f"is not the network that the weights of {self.load_path} are for.",
                "Put configs/evaluate.json after overlays of the training, such as configs/averaged.json.",
            )
        for key, network in self.load_dict.items():
            load_network(network, self.load_path, key, self.may_be_missing)
        self.logger.info("Loaded the weights of %s", self.load_path)

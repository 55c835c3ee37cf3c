"""Checkpoints that survive a kill at any moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import monai.handlers
from ignite.engine import Engine, Events
from ignite.handlers import DiskSaver
from torch import nn

from bundle.atomic import atomic_path, remove_partial
from bundle.checkpoint import check_finite_weights

__all__ = ["CheckpointSaver"]

_REMEDY = "They are not saved: go on from the last checkpoint with a lower learning rate."


class _AtomicDiskSaver(DiskSaver):
    """Writes to a temporary name and renames; with a fixed file name, replaces the file without a gap."""

    def __init__(self, dirname: str, filename: str | None = None) -> None:
        super().__init__(dirname=dirname, require_empty=False)
        self.filename = filename

    def __call__(self, checkpoint: Mapping, filename: str, metadata: Mapping | None = None) -> None:
        super().__call__(checkpoint, self.filename or filename, metadata)

    def _save_func(self, checkpoint: Mapping, path: Path, func: Callable) -> None:
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            func(checkpoint, file, **self.kwargs)

    def remove(self, filename: str) -> None:
        if self.filename is None:
            (self.dirname / filename).unlink(missing_ok=True)


class CheckpointSaver(monai.handlers.CheckpointSaver):
    """MONAI's CheckpointSaver with atomic writes, and with a state of its own to resume from.

    MONAI writes checkpoints in place, so that a kill while writing leaves half a file under the final name. With a
    save_interval it leaves out the epochs after the last multiple, here the one that ends the run is saved, too.
    Weights
    that are not finite are refused, and take no earlier ones' place.

    Args:
        save_dir: folder of the checkpoints.
        save_dict: what to save, by name.
        with_trainer: save the engine that it is attached to as "trainer", too.
        kwargs: further arguments of monai.handlers.CheckpointSaver.
    """

    def __init__(self, save_dir: str, save_dict: dict, with_trainer: bool = False, **kwargs: Any) -> None:
        # Ignite's savers look whether it is there and then make it, which several processes may do at once.
        Path(save_dir).mkdir(parents=True, exist_ok=True)
        super().__init__(save_dir, dict(save_dict), **kwargs)
        self.with_trainer = with_trainer
        for checkpoint in (self._final_checkpoint, self._key_metric_checkpoint, self._interval_checkpoint):
            if checkpoint is not None:
                fixed = getattr(checkpoint.save_handler, "filename", None)
                checkpoint.save_handler = _AtomicDiskSaver(self.save_dir, fixed)

    def attach(self, engine: Engine) -> None:
        """Saves at the events that the arguments ask for."""
        super().attach(engine)
        for checkpoint in (self._final_checkpoint, self._key_metric_checkpoint, self._interval_checkpoint):
            if checkpoint is not None:
                fixed = getattr(checkpoint.save_handler, "filename", None)
                remove_partial(self.save_dir, fixed or "checkpoint*.pt")
        if self.with_trainer:
            self.save_dict["trainer"] = engine
        if self._interval_checkpoint is not None and self.epoch_level:
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._save_last)

    def completed(self, engine: Engine) -> None:
        """Saves the end of the run."""
        self._check_weights()
        super().completed(engine)

    def metrics_completed(self, engine: Engine) -> None:
        """Saves the best so far."""
        self._check_weights()
        super().metrics_completed(engine)

    def interval_completed(self, engine: Engine) -> None:
        """Saves every so many epochs."""
        self._check_weights()
        super().interval_completed(engine)

    def _check_weights(self) -> None:
        """Refuses networks that are not finite, before the oldest checkpoint makes room."""
        for part in self.save_dict.values():
            if isinstance(part, nn.Module):
                check_finite_weights(part.state_dict(), "the network", _REMEDY)

    def _save_last(self, engine: Engine) -> None:
        """Saves the epoch that ends a run, where the interval does not."""
        ends = engine.should_terminate or engine.state.epoch == engine.state.max_epochs
        if ends and engine.state.epoch % self.save_interval:
            self.interval_completed(engine)

    def state_dict(self) -> dict[str, Any]:
        """The best metric so far, so that a resumed run does not replace a better model."""
        if self._key_metric_checkpoint is None:
            return {}
        saved = self._key_metric_checkpoint.state_dict()["_saved"]
        return {"_saved": [(float(priority), str(name)) for priority, name in saved]}

    def load_state_dict(self, state_dict: dict) -> None:
        """Takes up the best metric of an earlier run, unless its model is not here: the next one is then the best."""
        if not state_dict or self._key_metric_checkpoint is None:
            return
        fixed = getattr(self._key_metric_checkpoint.save_handler, "filename", None)
        if all((Path(self.save_dir) / (fixed or name)).is_file() for _, name in state_dict["_saved"]):
            super().load_state_dict(state_dict)

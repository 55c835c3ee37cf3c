"""Going on where a killed run stopped."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint
from torch import nn

from bundle.arguments import is_true
from bundle.checkpoint import check_finite_weights, check_match, read_checkpoint
from bundle.errors import InputError, naming
from bundle.handlers.run_settings import RunSettings

__all__ = ["ResumeTraining", "latest_checkpoint"]


def checkpoint_epoch(name: str) -> int | None:
    """The epoch of a training checkpoint by its file's name; None if it is none."""
    match = re.fullmatch(r"checkpoint_epoch=(\d{1,9})\.pt", name)
    return int(match.group(1)) if match else None


def checkpoints(folder: str | os.PathLike) -> dict[int, Path]:
    """The training checkpoints in a folder by epoch."""
    epochs = {path: checkpoint_epoch(path.name) for path in Path(folder).glob("checkpoint_epoch=*.pt")}
    return {epoch: path for path, epoch in epochs.items() if epoch is not None}


def latest_checkpoint(folder: str | os.PathLike) -> Path | None:
    """The training checkpoint with the highest epoch in a folder, if there is one."""
    found = checkpoints(folder)
    return found[max(found)] if found else None


class ResumeTraining:
    """Restores the whole training state from the latest complete checkpoint, if there is one.

    With :class:`~bundle.handlers.epoch_seeder.EpochSeeder` the run then continues as it would have.

    Args:
        ckpt_dir: folder of the training checkpoints.
        load_dict: what to restore besides the trainer, as it was saved; RunSettings are compared.
        enabled: if false, remove the checkpoints in the folder and start anew; but go on where torchrun starts the
            processes of a run again.
    """

    def __init__(self, ckpt_dir: str | os.PathLike, load_dict: dict[str, Any], enabled: bool = True) -> None:
        self.ckpt_dir = Path(ckpt_dir)
        self.load_dict = dict(load_dict)
        self.enabled = is_true(enabled, "resume") or int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0

    def attach(self, engine: Engine) -> None:
        """Restores when the engine starts, the engine itself included."""
        self.load_dict["trainer"] = engine
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Restores the state of the latest checkpoint."""
        found = checkpoints(self.ckpt_dir)
        if not self.enabled:
            for path in found.values():
                path.unlink(missing_ok=True)
            return
        if not found:
            return
        path = found[max(found)]
        checkpoint = read_checkpoint(path)
        self._check(checkpoint, path)
        max_epochs, epoch_length = engine.state.max_epochs, engine.state.epoch_length
        try:
            Checkpoint.load_objects(to_load=self.load_dict, checkpoint=checkpoint)
        except InputError:
            raise
        except Exception as error:  # every kind of object says in its own way that a state is not its
            told = " ".join(str(error).split())[:200]
            raise InputError(
                path, f"holds a state that this training cannot take up ({told}).", "Set resume to false to start anew."
            ) from error
        engine.state.max_epochs = max_epochs
        if epoch_length is not None:  # another one than before where the number of processes is
            engine.state.epoch_length = epoch_length
            engine.state.iteration = engine.state.epoch * epoch_length
        for epoch, older in found.items():
            if epoch < max(found) - 1:
                older.unlink(missing_ok=True)  # of earlier parts of the run, which nothing else would remove
        if max_epochs is not None and engine.state.epoch >= max_epochs:
            engine.logger.info("%s completes all %d epochs: nothing is left to train", path, max_epochs)
        else:
            engine.logger.info("Resumed from %s at epoch %d", path, engine.state.epoch)

    def _check(self, checkpoint: dict[str, Any], path: Path) -> None:
        missing = sorted(set(self.load_dict) - set(checkpoint))
        if missing:
            raise InputError(path, f"lacks {', '.join(missing)}.", "Set resume to false to start anew.")
        with naming(path):
            for name, target in self.load_dict.items():
                if isinstance(target, nn.Module):
                    check_match(target.state_dict(), checkpoint[name], path)
                    check_finite_weights(checkpoint[name], path, "Set resume to false to start anew.")
            for name, target in self.load_dict.items():
                if isinstance(target, RunSettings):
                    target.load_state_dict(checkpoint[name])

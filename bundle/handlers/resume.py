"""Going on where a killed run stopped."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import monai.handlers
from ignite.engine import Engine, Events
from torch import nn

from bundle.checkpoint import check_match, read_checkpoint
from bundle.errors import InputError

__all__ = ["ResumeTraining", "latest_checkpoint"]


def latest_checkpoint(folder: str | os.PathLike) -> Path | None:
    """The training checkpoint with the highest epoch in a folder, if there is one."""
    found = {}
    for path in Path(folder).glob("checkpoint_epoch=*.pt"):
        match = re.fullmatch(r"checkpoint_epoch=(\d+)\.pt", path.name)
        if match:
            found[int(match.group(1))] = path
    return found[max(found)] if found else None


class ResumeTraining:
    """Restores the whole training state from the latest complete checkpoint, if there is one.

    With :class:`~bundle.handlers.epoch_seeder.EpochSeeder` the run then continues exactly as it would have.

    Args:
        ckpt_dir: folder of the training checkpoints.
        load_dict: what to restore besides the trainer, as it was saved.
        enabled: start anew if false.
    """

    def __init__(self, ckpt_dir: str | os.PathLike, load_dict: dict[str, Any], enabled: bool = True) -> None:
        self.ckpt_dir = Path(ckpt_dir)
        self.load_dict = dict(load_dict)
        self.enabled = enabled

    def attach(self, engine: Engine) -> None:
        """Restores when the engine starts, the engine itself included."""
        self.load_dict["trainer"] = engine
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Restores the state of the latest checkpoint."""
        for leftover in self.ckpt_dir.glob(".partial-*"):  # of a run that was killed while it saved
            leftover.unlink(missing_ok=True)
        path = latest_checkpoint(self.ckpt_dir)
        if path is None or not self.enabled:
            return
        checkpoint = read_checkpoint(path)
        missing = sorted(set(self.load_dict) - set(checkpoint))
        if missing:
            raise InputError(path, f"lacks {', '.join(missing)}.", "Set resume to false to start anew.")
        for name, target in self.load_dict.items():
            if isinstance(target, nn.Module):
                check_match(target.state_dict(), checkpoint[name], path)
        try:
            monai.handlers.CheckpointLoader(str(path), self.load_dict)(engine)
        except (RuntimeError, ValueError) as error:
            raise InputError(
                path,
                f"does not fit this configuration ({str(error).splitlines()[0]}).",
                "Resume with the configuration that wrote it, or choose another ckpt_dir.",
            ) from error
        engine.logger.info("Resumed from %s at epoch %d", path, engine.state.epoch)

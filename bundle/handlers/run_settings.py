"""The settings that make a training run what it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from bundle.errors import InputError, told_changes

__all__ = ["RunSettings"]


class RunSettings:
    """Keeps a run's settings in its checkpoints, and refuses to resume another run's.

    Without it a finished run on one data set would pass for a finished run on the next, when both use the same folder.

    Args:
        settings: settings by name; paths, numbers, lists and None. Those that may change between the parts of a run,
            such as the number of epochs, do not belong here.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = {name: _plain(value) for name, value in settings.items()}

    def state_dict(self) -> dict[str, Any]:
        """The settings."""
        return dict(self.settings)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Compares with an earlier run's settings; those that its version did not keep may be any.

        Raises:
            InputError: when any differs; all are listed.
        """
        changed = told_changes(state_dict, {name: self.settings.get(name) for name in state_dict})
        if changed:
            raise InputError(
                "checkpoint",
                f"was written by a run with other settings: {changed}.",
                "Resume with its settings, choose another ckpt_dir, or set resume to false to start anew.",
            )


def _plain(value: Any) -> Any:
    """Only what a checkpoint can hold without pickling code."""
    if isinstance(value, (bool, int, float, str, type(None))):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, torch.Tensor):
        return value.tolist()
    return str(value)

"""Choosing one of several modules that compute the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType

import torch

from bundle.errors import InputError

__all__ = ["choose_backend"]


def choose_backend(
    setting: str,
    name: str,
    backends: Mapping[str, ModuleType],
    fastest_first: Mapping[str, Sequence[str]],
    device: torch.device,
) -> ModuleType:
    """The backend of a name, or the fastest that can run.

    Args:
        setting: what is being chosen, for messages.
        name: one of the backends, or "auto".
        backends: modules by name; each has ``unavailable(device)``, which says why it cannot run there, or None.
        fastest_first: for a type of device, the names among which "auto" chooses; "torch" alone for all others.
        device: where to compute.

    Raises:
        InputError: when the name is unknown, or that backend cannot run.
    """
    if name == "auto":
        names = fastest_first.get(device.type, ("torch",))
        return next(backends[n] for n in names if backends[n].unavailable(device) is None)
    if name not in backends:
        raise InputError(setting, f"is {name!r}.", f"Use auto or one of {', '.join(backends)}.")
    reason = backends[name].unavailable(device)
    if reason is not None:
        raise InputError(f"{setting} {name}", f"cannot be used: {reason}.", "Use auto.")
    return backends[name]

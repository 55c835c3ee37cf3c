"""The settings that come with weights from elsewhere: what describes a network and its scan, and nothing that runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from bundle.errors import InputError

__all__ = ["NETWORK_SETTINGS", "check_network_settings"]

NETWORK_SETTINGS = (
    *("preset", "detector_shape", "volume_shape", "row_direction"),
    *("encoder_channels", "encoder_blocks", "decoder_channels", "decoder_blocks", "point_channels"),
    *("codes", "low_resolution", "denoise_blocks", "head", "prior"),
    *("low_resolution_grid", "output_grid", "projection_sampling"),
)
"""Settings of configs/inference.json that belong to weights."""

_REMEDY = "Read it, and if you trust it put it beside the weights yourself: MONAI's configurations can run code."


def check_network_settings(path: Path) -> None:
    """Refuses a configuration that does more than describe a network.

    Args:
        path: JSON file.

    Raises:
        InputError: when it is no JSON object, sets something else, or holds an expression, a reference or a component.
    """
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(path.name, f"is damaged ({error}).", "Get another copy.") from error
    if not isinstance(settings, dict):
        raise InputError(path.name, "is not a JSON object.", "Get another copy.")
    for name, value in settings.items():
        if name not in NETWORK_SETTINGS:
            raise InputError(path.name, f"sets {name}, which does not describe a network.", _REMEDY)
        if not _is_plain(value):
            raise InputError(path.name, f"has an expression or a component as {name}.", _REMEDY)


def _is_plain(value: Any) -> bool:
    """Whether MONAI takes a value for what it is."""
    if isinstance(value, str):
        return re.fullmatch(r"[\w+. -]*", value) is not None
    if isinstance(value, dict):
        return all(key.isidentifier() and not key.startswith("_") and _is_plain(part) for key, part in value.items())
    if isinstance(value, list):
        return all(_is_plain(part) for part in value)
    return True

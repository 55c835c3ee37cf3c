"""Which configuration files an inference is made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bundle.errors import InputError

__all__ = ["ROOT", "inference_files"]

ROOT = Path(__file__).resolve().parent.parent
"""The bundle's root, where configs and models are."""


def inference_files(
    checkpoint: str | None = None, config: str | Sequence[str] | None = None, with_weights: bool = True
) -> list[str]:
    """The inference configuration, the one beside the weights or else the paper's scan, and further overlays.

    Args:
        checkpoint: the weights; models/model.pt if None.
        config: further overlays.
        with_weights: whether a network is used at all.

    Raises:
        InputError: when a file does not exist.
    """
    files = [str(ROOT / "configs" / "inference.json")]
    if not with_weights:
        files.append(str(ROOT / "configs" / "paper.json"))
    beside = Path(checkpoint or ROOT / "models" / "model.pt").with_suffix(".json")
    if with_weights and beside.is_file():
        files.append(str(beside))
    files += [config] if isinstance(config, str) else list(config or [])
    for file in files:
        if not Path(file).is_file():
            raise InputError(f"config {file}", "does not exist.", "Check the path.")
    return files

"""Which configuration files an inference is made of, and their network with its weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.config_text import literal
from bundle.errors import InputError

if TYPE_CHECKING:
    from bundle.networks import DiCE
    from bundle.presets import ScanPreset

__all__ = ["ROOT", "inference_files", "inference_network"]

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


def inference_network(
    checkpoint: str | None = None, config: str | Sequence[str] | None = None, preset: str | None = None
) -> tuple[DiCE, ScanPreset]:
    """The network with its weights, and its scan.

    Args:
        checkpoint: the weights; models/model.pt if None.
        config: further overlays.
        preset: scan of the network; the configuration's if None.

    Raises:
        InputError: when a file does not exist or weights do not fit.
    """
    from monai.bundle import ConfigParser

    from bundle.checkpoint import load_network

    parser = ConfigParser()
    parser.read_config(inference_files(checkpoint, config))
    changes = {"bundle_root": str(ROOT), "checkpoint": checkpoint, "preset": preset}
    parser.update({key: literal(value) for key, value in changes.items() if value is not None})
    network: DiCE = parser.get_parsed_content("network_def")
    load_network(network, parser.get_parsed_content("checkpoint"))
    return network, parser.get_parsed_content("scan")

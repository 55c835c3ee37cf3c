"""Which configuration files an inference is made of, and their network with its weights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.config_text import literal
from bundle.errors import InputError
from bundle.json_files import read_json_object
from bundle.network_settings import check_network_settings
from bundle.paths import ROOT
from bundle.small_files import check_regular

if TYPE_CHECKING:
    from bundle.networks import DiCE
    from bundle.presets import ScanPreset

__all__ = ["inference_files", "inference_network"]


def inference_files(
    checkpoint: str | None = None, config: str | Sequence[str] | None = None, with_weights: bool = True
) -> list[str]:
    """The inference configuration, the one beside the weights or else the paper's scan, and further overlays.

    Args:
        checkpoint: the weights; models/model.pt if None.
        config: further overlays.
        with_weights: whether a network is used at all.

    Raises:
        InputError: when a file does not exist or is no configuration, or one beside weights does more than describe
            their network.
    """
    files = [str(ROOT / "configs" / "inference.json")]
    if not with_weights:
        files.append(str(ROOT / "configs" / "paper.json"))
    beside = Path(checkpoint or ROOT / "models" / "model.pt").with_suffix(".json")
    if with_weights and os.path.lexists(beside):
        check_network_settings(beside)
        files.append(str(beside))
    overlays = [config] if isinstance(config, str) else list(config or [])
    for file in overlays:
        _check_overlay(file)
    return files + overlays


def _check_overlay(file: str) -> None:
    """Refuses what MONAI cannot read as a configuration; what stands there is the user's own, and may run code."""
    if Path(file).suffix.lower() != ".json":
        check_regular(file)
    elif read_json_object(file) is None:
        raise InputError(f"config {file}", "does not exist.", "Check the path.")


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

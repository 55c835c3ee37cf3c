"""Published DeepSparse weights to this bundle's.

The release saves state dicts under its own module names, and its networks depend on several conventions that a new
network does not share (see DiCE's options). Conversion renames every entry, reads the architecture off the shapes,
and writes the options that the weights need as a configuration overlay beside them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bundle.atomic import atomic_path, check_output
from bundle.checkpoint import check_match, check_state, read_checkpoint, save_checkpoint
from bundle.errors import InputError, naming
from bundle.networks import DiCE
from bundle.presets import ScanPreset, load_preset

__all__ = ["PUBLISHED_OPTIONS", "convert", "network_options", "rename_published"]

PUBLISHED_OPTIONS = {
    "head": "norm_act",
    "low_resolution_grid": "corner",
    "output_grid": "corner",
    "projection_sampling": "corner_aligned",
}
"""Options of DiCE that published weights depend on."""

_BLOCK = {"0": "conv", "1": "adn.N"}  # the release's conv + BN pairs are numbered
_RULES: list[tuple[str, str]] = [
    (r"encoder\.encoder\.stem\.conv\.([01])\.(.+)", r"encoder.stem.{0}.\2"),
    (r"encoder\.encoder\.layers\.(\d+)\.0\.layer\.([01])\.(.+)", r"encoder.levels.\1.0.{1}.\3"),
    (r"encoder\.encoder\.layers\.(\d+)\.1\.pre_conv\.([01])\.(.+)", r"encoder.levels.\1.1.pre_conv.{1}.\3"),
    (
        r"encoder\.encoder\.layers\.(\d+)\.1\.layers\.(\d+)\.conv\.([01])\.(.+)",
        r"encoder.levels.\1.1.layers.\2.conv.{2}.\4",
    ),
    (r"cb\.(\d+)\.pre_quant\.(.+)", r"embedding.quantizers.\1.pre.\2"),
    (r"cb\.(\d+)\.post_quant\.(.+)", r"embedding.quantizers.\1.post.\2"),
    (r"cb\.(\d+)\.codebook\.embedding\.weight", r"embedding.quantizers.\1.codebook.embedding.weight"),
    (r"cb\.(\d+)\.codebook\.embedding\.cluster_size", r"embedding.quantizers.\1.codebook.ema_cluster_size"),
    (r"cb\.(\d+)\.codebook\.embedding\.embed_avg", r"embedding.quantizers.\1.codebook.ema_w"),
    (r"decoders\.(\d+)\.pre_conv\.([01])\.(.+)", r"embedding.decoders.\1.pre_conv.{1}.\3"),
    (r"decoders\.(\d+)\.layers\.(\d+)\.conv\.([01])\.(.+)", r"embedding.decoders.\1.layers.\2.conv.{2}.\4"),
    (r"denoise_layers\.(\d+)\.layers\.(\d+)\.conv\.([01])\.(.+)", r"embedding.denoisers.\1.layers.\2.conv.{2}.\4"),
    (r"point_decoder\.mlps\.(\d+)\.([01])\.(.+)", r"point_decoder.layers.\1.\2.\3"),
]


def rename_published(name: str) -> str | None:
    """This bundle's name of a published entry, or None if it is not one."""
    for pattern, template in _RULES:
        match = re.fullmatch(pattern, name)
        if match:
            # {i} stands for group i + 1, a number within a conv + BN pair.
            return match.expand(template).format(*(_BLOCK.get(group) for group in match.groups()))
    return None


def network_options(state: Mapping[str, torch.Tensor], source: object) -> dict[str, Any]:
    """Reads the network's widths and depths off a converted state dict, by their names in the configurations.

    Raises:
        InputError: when entries that fix the architecture are missing.
    """

    def count(pattern: str) -> int:
        found = {int(m.group(1)) for m in (re.match(pattern, name) for name in state) if m}
        return max(found) + 1 if found else 0

    try:
        scales = count(r"encoder\.levels\.(\d+)\.") + 1
        encoder_channels = [state["encoder.stem.conv.weight"].shape[0]]
        encoder_channels += [
            state[f"encoder.levels.{k}.1.layers.0.conv.conv.weight"].shape[0] for k in range(scales - 1)
        ]
        layers = count(r"point_decoder\.layers\.(\d+)\.")
        return {
            "encoder_channels": encoder_channels,
            "encoder_blocks": count(r"encoder\.levels\.0\.1\.layers\.(\d+)\."),
            "decoder_channels": state["embedding.decoders.0.layers.0.conv.conv.weight"].shape[0],
            "decoder_blocks": count(r"embedding\.decoders\.0\.layers\.(\d+)\."),
            "point_channels": [state[f"point_decoder.layers.{i}.0.weight"].shape[0] for i in range(layers - 1)],
            "denoise_blocks": count(r"embedding\.denoisers\.0\.layers\.(\d+)\."),
            "codes": state["embedding.quantizers.0.codebook.embedding.weight"].shape[0],
        }
    except KeyError as error:
        raise InputError(source, f"lacks {error.args[0]}.", "Give the state dict of a DiCE network.") from error
    except IndexError as error:
        raise InputError(
            source, "has single numbers where kernels belong.", "Give the state dict of a DiCE network."
        ) from error


def convert_state(
    published: Mapping[str, Any], source: object, scan: ScanPreset, low_resolution: int = 32
) -> tuple[DiCE, dict[str, Any]]:
    """Builds the network of a published state dict and loads it.

    Args:
        published: state dict under the release's names.
        source: what to name in messages.
        scan: scan that the weights were trained with; its rows are taken to run towards the feet, as in the release.
        low_resolution: voxels per side of the 3D features; the weights do not tell.

    Returns:
        The network, and its options by their names in the configurations.

    Raises:
        InputError: when an entry is unknown, missing or misshapen; all are listed.
    """
    check_state(published, source)
    renamed = {name: rename_published(name) for name in published}
    unknown = [name for name, new in renamed.items() if new is None]
    if unknown:
        raise InputError(
            source,
            f"has {len(unknown)} entries that no DiCE network has, such as {', '.join(unknown[:5])}.",
            "Give a state dict of the published release.",
        )
    state = {new: published[name] for name, new in renamed.items() if new is not None}
    options = {**network_options(state, source), **PUBLISHED_OPTIONS, "low_resolution": low_resolution}
    arguments = {name: value for name, value in options.items() if name != "codes"}
    arguments["quantizer"] = {"codes": options["codes"]}
    with naming(source):
        network = DiCE(scan=replace(scan, row_direction="-z"), **arguments)
    own = network.state_dict()
    for name in own:  # entries that the release has no counterpart of
        if name == "conventions":
            state[name] = own[name]
        elif name.endswith(".started"):
            state[name] = torch.ones_like(own[name])
    check_match(own, state, source)
    network.load_state_dict(state)
    return network, options


def convert(
    source: str | os.PathLike,
    output: str | os.PathLike,
    preset: str = "luna16",
    low_resolution: int = 32,
    overwrite: bool = False,
) -> Path:
    """Converts a published checkpoint and writes it with its configuration overlay.

    Args:
        source: published .pth state dict.
        output: file to write, such as models/published.pt; the overlay goes to the same name with ".json".
        preset: scan that the weights were trained with.
        low_resolution: voxels per side of the 3D features.
        overwrite: replace an existing output.

    Returns:
        Path of the overlay.

    Raises:
        InputError: when the source does not fit or the output exists.
    """
    output = check_output(output, overwrite, (".pt", ".pth"), inputs=[source])
    overlay = check_output(output.with_suffix(".json"), overwrite, inputs=[source])
    scan = load_preset(preset)
    published = read_checkpoint(source)
    network, options = convert_state(published, source, scan, low_resolution)
    shapes = {"detector_shape": None, "volume_shape": None}
    settings = {"preset": preset, **shapes, "row_direction": "-z", "prior": None, **options}
    with atomic_path(overlay) as temporary:
        temporary.write_text(json.dumps(settings, indent=4) + "\n", encoding="utf-8")
    save_checkpoint(network.state_dict(), output)
    return overlay

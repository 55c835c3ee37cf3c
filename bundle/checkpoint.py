"""Reading and writing weights: never executing code, never leaving half a file, never dropping an entry in silence."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bundle.atomic import atomic_path
from bundle.errors import InputError

__all__ = ["check_match", "load_network", "match_report", "read_checkpoint", "save_checkpoint", "weights_hash"]


def read_checkpoint(path: str | os.PathLike, map_location: Any = "cpu") -> dict[str, Any]:
    """Reads a checkpoint of tensors and plain values.

    Args:
        path: file written by torch.save.
        map_location: device to load to.

    Raises:
        InputError: when the file is missing, damaged, or holds anything but tensors and plain values.
    """
    if not Path(path).is_file():
        raise InputError(path, "does not exist.", "Train one, convert published weights, or give the path of another.")
    try:
        content = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            path,
            "is not a checkpoint of plain tensors.",
            "It is damaged or would run code when loaded: get another copy.",
        ) from error
    except Exception as error:  # unpicklers and archives raise many kinds for damaged files
        raise InputError(
            path,
            f"cannot be read ({' '.join(str(error).split('. ')[0].split()) or type(error).__name__}).",
            "It is damaged or incomplete: get another copy.",
        ) from error
    if not isinstance(content, Mapping):
        raise InputError(path, f"holds a {type(content).__name__}.", "Give a state dict.")
    return dict(content)


def save_checkpoint(content: Mapping[str, Any], path: str | os.PathLike) -> None:
    """Writes a checkpoint to a temporary name and renames it."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        torch.save(dict(content), file)


def match_report(expected: Mapping[str, torch.Tensor], found: Mapping[str, Any]) -> list[str]:
    """One line for every entry that is missing, unknown or of another shape."""
    lines = [f"missing {name} {tuple(expected[name].shape)}" for name in expected if name not in found]
    for name, value in found.items():
        if not isinstance(value, torch.Tensor):
            lines.append(f"not a tensor: {name}")
        elif name not in expected:
            lines.append(f"unknown {name} {tuple(value.shape)}")
        elif value.shape != expected[name].shape:
            lines.append(f"misshapen {name} {tuple(value.shape)}, expected {tuple(expected[name].shape)}")
    return lines


def check_match(expected: Mapping[str, torch.Tensor], found: Mapping[str, Any], source: object) -> None:
    """Refuses a state dict that does not fit a network.

    Raises:
        InputError: with the first entries that are missing, unknown or misshapen, and their number.
    """
    report = match_report(expected, found)
    if report:
        if all(line.startswith("missing embedding.denoisers.") for line in report):
            remedy = (
                "Only view adjustment trains denoising layers: put configs/without_denoising.json last in the list."
            )
        else:
            remedy = (
                "Use the configuration that they were trained with; convert published weights first "
                "(python -m bundle convert)."
            )
        shown = report[:10] + ([f"and {len(report) - 10} more"] if len(report) > 10 else [])
        raise InputError(
            source,
            "holds weights of another architecture: " + "; ".join(shown) + ".",
            remedy,
        )


def load_network(
    network: nn.Module, path: str | os.PathLike, key: str = "network", may_be_missing: Sequence[str] = ()
) -> nn.Module:
    """Loads weights into a network.

    Args:
        network: the network.
        path: a state dict, or a training checkpoint that holds one under the key.
        key: entry of a training checkpoint.
        may_be_missing: name prefixes whose entries may be absent and then keep their initial values, such as the
            denoising layers when view adjustment starts from dataset adaptation.

    Returns:
        The network.

    Raises:
        InputError: when entries are missing, unknown or of another shape, all of which are listed, or not finite.
    """
    content = read_checkpoint(path)
    state = content.get(key, content)
    own = network.state_dict()
    optional = {name: own[name] for name in own if name not in state and name.startswith(tuple(may_be_missing))}
    complete = {**optional, **state}
    check_match(own, complete, path)
    not_finite = [name for name, value in complete.items() if not torch.isfinite(value).all()]
    if not_finite:
        raise InputError(path, f"holds NaN or infinite weights: {', '.join(not_finite[:5])}.", "Get another copy.")
    network.load_state_dict(complete)
    return network


def weights_hash(network: nn.Module) -> str:
    """SHA-256 over a network's state, for provenance records."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

"""Reading and writing weights: never executing code, never leaving half a file, never dropping an entry in silence.

Files of torch.save are zips with a checksum for every part, which torch.load does not compare. Here they are, which
takes 8 ms for the shipped weights, where reading takes 25 ms, and a third of a second for a gigabyte.
"""

from __future__ import annotations

import hashlib
import math
import os
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bundle.atomic import atomic_path
from bundle.errors import InputError
from bundle.shipped_weights import check_shipped
from bundle.small_files import check_regular

__all__ = [
    "check_finite_weights",
    "check_match",
    "check_state",
    "load_network",
    "match_report",
    "read_checkpoint",
    "save_checkpoint",
    "weights_hash",
]

_AGAIN = "It is damaged or incomplete: get another copy."
_MOST_DEPTH = 64  # of dictionaries and lists in each other
_LARGEST = 1e9  # more than any weight or statistic is


def read_checkpoint(path: str | os.PathLike, map_location: Any = "cpu") -> dict[str, Any]:
    """Reads a checkpoint of tensors and plain values.

    Args:
        path: file written by torch.save.
        map_location: device to load to.

    Raises:
        InputError: when the file is missing, damaged by its own checksums or those of the shipped weights, or holds
            anything but dense tensors of real numbers and plain values.
    """
    if not os.path.lexists(path):
        raise InputError(path, "does not exist.", "Train one, convert published weights, or give the path of another.")
    _check_archive(Path(path), check_regular(path))
    check_shipped(Path(path))
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
            f"cannot be read ({' '.join(str(error).split('. ')[0].split())[:200] or type(error).__name__}).",
            _AGAIN,
        ) from error
    if not isinstance(content, Mapping):
        raise InputError(path, f"holds a {type(content).__name__}.", "Give a state dict.")
    _check_contents(content, path)
    return dict(content)


def _check_archive(path: Path, size: int) -> None:
    """Compares the checksums of a zip's parts; older files of torch.save are no zips and have none."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            if any(part.flag_bits & 1 for part in parts):
                raise InputError(path, "is encrypted.", "Unpack it with its password, and give the weights.")
            if sum(part.file_size for part in parts) > 4 * size:  # torch.save does not compress
                raise InputError(path, "unpacks to far more than its size.", "Give a file that torch.save wrote.")
            damaged = archive.testzip()
    except InputError:
        raise
    except Exception as error:  # damaged archives raise many kinds, zlib's among them
        raise InputError(path, f"cannot be read ({' '.join(str(error).split())[:200]}).", _AGAIN) from error
    if damaged is not None:
        raise InputError(path, f"does not match its own checksum in {damaged}.", "It is damaged: get another copy.")


def _check_contents(content: Mapping[str, Any], path: str | os.PathLike) -> None:
    """Refuses nesting without end, and tensors that are no plain arrays of numbers."""
    level: list[tuple[str, Any]] = [("", content)]
    for _ in range(_MOST_DEPTH):
        inner: list[tuple[str, Any]] = []
        for name, value in level:
            if isinstance(value, torch.Tensor):
                fault = _tensor_fault(value)
                if fault:
                    raise InputError(path, f"has {fault} as {name}.", "Give a state dict of dense tensors.")
            elif isinstance(value, Mapping):
                inner += [(f"{name}.{key}" if name else str(key), part) for key, part in value.items()]
            elif isinstance(value, (list, tuple, set, frozenset)):
                inner += [(f"{name}.{index}", part) for index, part in enumerate(value)]
        level = inner
        if not level:
            return
    raise InputError(path, f"is nested more than {_MOST_DEPTH} deep.", "Give a state dict.")


def _tensor_fault(value: torch.Tensor) -> str:
    """What a tensor is instead of a plain array of numbers; empty if it is one."""
    kinds = {
        "a nested tensor": value.is_nested,
        "a tensor without values": value.device.type == "meta",
        "a sparse tensor": value.layout is not torch.strided,
        "a quantized tensor": value.is_quantized,
        "a tensor of complex numbers": value.is_complex(),
    }
    fault = next((name for name, found in kinds.items() if found), "")
    if not fault and value.nbytes > value.untyped_storage().nbytes():
        fault = f"a tensor that says it is {tuple(value.shape)} and holds fewer numbers"
    return fault


def save_checkpoint(content: Mapping[str, Any], path: str | os.PathLike) -> None:
    """Writes a checkpoint to a temporary name and renames it."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        torch.save(dict(content), file)


def match_report(expected: Mapping[str, torch.Tensor], found: Mapping[str, Any]) -> list[str]:
    """One line for every entry that is missing, unknown, or of another shape or kind of numbers."""
    lines = [f"missing {name} {tuple(expected[name].shape)}" for name in expected if name not in found]
    for name, value in found.items():
        if not isinstance(value, torch.Tensor):
            lines.append(f"not a tensor: {name}")
        elif name not in expected:
            lines.append(f"unknown {name} {tuple(value.shape)}")
        elif value.shape != expected[name].shape:
            lines.append(f"misshapen {name} {tuple(value.shape)}, expected {tuple(expected[name].shape)}")
        elif value.is_floating_point() != expected[name].is_floating_point():
            lines.append(f"{name} of {_kind(value)}, expected {_kind(expected[name])}")
    return lines


def _kind(value: torch.Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def check_state(state: Any, source: object) -> None:
    """Refuses what is no state dict of a network with weights that can be.

    Args:
        state: what a file of weights holds.
        source: what to name in messages.

    Raises:
        InputError: when it is no mapping of names to tensors, a tensor is not finite or its values are absurd, or all
            weights are zero.
    """
    if not isinstance(state, Mapping):
        raise InputError(source, f"has a {type(state).__name__} where weights belong.", "Give a state dict.")
    others = [str(name) for name, value in state.items() if not (isinstance(name, str) and _is_tensor(value))]
    if others:
        raise InputError(source, f"has entries that are no tensors: {_first(others)}.", "Give a state dict.")
    check_finite_weights(state, source, "Get another copy.")
    kernels = [value for value in state.values() if value.is_floating_point() and value.dim() >= 2]
    if kernels and not any(value.any() for value in kernels):
        raise InputError(source, "holds nothing but zeros.", "Get another copy, or train again.")


def check_finite_weights(state: Mapping[str, torch.Tensor], source: object, remedy: str) -> None:
    """Refuses weights that are not finite, or larger than any that work, and variances below zero.

    Raises:
        InputError: naming the tensors.
    """
    largest = {
        name: float(v.detach().float().abs().max()) for name, v in state.items() if v.is_floating_point() and v.numel()
    }
    not_finite = [name for name, value in largest.items() if not math.isfinite(value)]
    if not_finite:
        raise InputError(source, f"holds NaN or infinite weights: {_first(not_finite)}.", remedy)
    absurd = [f"{name} of {value:.2g}" for name, value in largest.items() if value > _LARGEST]
    absurd += [f"{name} below 0" for name in largest if name.endswith("running_var") and state[name].min() < 0]
    if absurd:
        raise InputError(source, f"holds weights that cannot be: {_first(absurd)}.", remedy)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor)


def _first(names: Sequence[str]) -> str:
    return ", ".join(name[:100] for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def check_match(expected: Mapping[str, torch.Tensor], found: Mapping[str, Any], source: object) -> None:
    """Refuses a state dict that does not fit a network.

    Raises:
        InputError: with the first entries that are missing, unknown or misshapen, and their number.
    """
    if not isinstance(found, Mapping):
        raise InputError(source, f"has a {type(found).__name__} where weights belong.", "Give a state dict.")
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
        InputError: when entries are missing, unknown or of another shape, all of which are listed, or values cannot be
            weights.
    """
    content = read_checkpoint(path)
    state = content.get(key, content)
    check_state(state, path)
    own = network.state_dict()
    missing = [name for name in own if name not in state and name.startswith(tuple(may_be_missing))]
    complete = {**{name: own[name].clone() for name in missing}, **state}
    check_match(own, complete, path)
    network.load_state_dict(complete)
    return network


def weights_hash(network: nn.Module) -> str:
    """SHA-256 over a network's state, for provenance records."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

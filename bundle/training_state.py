"""A whole training state in a few small files of half precision, to carry it from machine to machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from bundle.atomic import remove_partial
from bundle.checkpoint import read_checkpoint, save_checkpoint
from bundle.checksums import file_sha256
from bundle.errors import InputError
from bundle.half_precision import halved
from bundle.handlers.resume import checkpoint_epoch, checkpoints, latest_checkpoint
from bundle.json_files import read_json_object, write_json

__all__ = ["pack_state", "unpack_state"]

_LISTING, _FRAME = "state.json", "state_frame.pt"
_TENSOR = "tensor of the parts"  # stands in the frame for a tensor
_MEGABYTE = 10**6


def pack_state(ckpt_dir: str | os.PathLike, folder: str | os.PathLike, largest_mb: float = 15.0) -> list[Path]:
    """Packs the latest training checkpoint.

    Large tensors of single precision are kept in that half precision which loses less: weights mostly in float16,
    the optimiser's moments, of all magnitudes, in bfloat16. Training goes on from such a state as well, though not bit
    for bit.

    Args:
        ckpt_dir: folder of the training checkpoints.
        folder: folder to write to; an earlier state there is replaced, its listing last.
        largest_mb: most of a file, in 10^6 bytes.

    Returns:
        The files.

    Raises:
        InputError: when there is no checkpoint, or a tensor alone is larger than a file may be.
    """
    path = latest_checkpoint(ckpt_dir)
    if path is None:
        raise InputError(ckpt_dir, "has no training checkpoint.", "Train first, or give the folder of a stage.")
    folder = Path(folder)
    tensors: list[torch.Tensor] = []
    dtypes: list[torch.dtype] = []

    def take_out(value: torch.Tensor) -> dict[str, int]:
        tensors.append(halved(value))
        dtypes.append(value.dtype)
        return {_TENSOR: len(tensors) - 1}

    frame = _mapped(read_checkpoint(path), take_out, lambda value: isinstance(value, torch.Tensor))
    parts = _parts(tensors, int(largest_mb * _MEGABYTE))
    contents = {_FRAME: {"frame": frame, "dtypes": dtypes}}
    contents |= {f"state_part{i}.pt": {str(k): tensors[k] for k in part} for i, part in enumerate(parts)}
    for name, content in contents.items():
        save_checkpoint(content, folder / name)
    listing = {"checkpoint": path.name, "files": {name: file_sha256(folder / name) for name in contents}}
    write_json(listing, folder / _LISTING)
    for stale in set(folder.glob("state_part*.pt")) - {folder / name for name in contents}:
        stale.unlink()
    remove_partial(folder, "state*")
    return [folder / name for name in (*contents, _LISTING)]


def unpack_state(folder: str | os.PathLike, ckpt_dir: str | os.PathLike) -> Path:
    """Writes the checkpoint of a packed state, from which training then resumes.

    Args:
        folder: what :func:`pack_state` wrote.
        ckpt_dir: folder of the training checkpoints.

    Returns:
        The checkpoint.

    Raises:
        InputError: when files are missing or damaged, or a checkpoint of that epoch or a later one is there already.
    """
    folder = Path(folder)
    listing = read_json_object(folder / _LISTING)
    if listing is None:
        raise InputError(folder, f"has no {_LISTING}.", "Give a folder that pack-training wrote.")
    name, files = str(listing.get("checkpoint")), listing.get("files")
    packed_epoch = checkpoint_epoch(name)
    if packed_epoch is None or not isinstance(files, dict) or _FRAME not in files:
        raise InputError(folder / _LISTING, "does not list a training state.", "Get another copy.")
    tensors: dict[str, torch.Tensor] = {}
    frame: Any = None
    dtypes: Any = ()
    for file, checksum in files.items():
        if Path(file).name != file or not (folder / file).is_file() or file_sha256(folder / file) != checksum:
            raise InputError(folder / file, "is missing or not what was packed.", "Get another copy of all files.")
        content = read_checkpoint(folder / file)
        if file == _FRAME:
            frame, dtypes = content.get("frame"), content.get("dtypes")
        else:
            tensors.update(content)

    def put_back(value: dict[str, int]) -> torch.Tensor:
        index = value[_TENSOR]
        dtype, tensor = dtypes[index], tensors[str(index)]
        if not isinstance(dtype, torch.dtype) or not isinstance(tensor, torch.Tensor):
            raise TypeError
        return tensor.to(dtype)

    target = Path(ckpt_dir) / name
    # Training resumes from the latest epoch there is, whatever the files' times.
    found = checkpoints(ckpt_dir)
    latest = max(found, default=packed_epoch)
    if latest > packed_epoch:
        raise InputError(ckpt_dir, f"has {found[latest].name}, which is later.", "Train on with it, or remove it.")
    if target.exists():  # perhaps in full precision
        raise InputError(target, "is there already.", "Train on with it, or remove it.")
    try:
        whole = _mapped(frame, put_back, lambda value: isinstance(value, dict) and set(value) == {_TENSOR})
    except (KeyError, IndexError, TypeError) as error:
        raise _no_state(folder) from error
    if not isinstance(whole, dict):
        raise _no_state(folder)
    save_checkpoint(whole, target)
    return target


def _no_state(folder: Path) -> InputError:
    return InputError(folder / _FRAME, "is not the frame of a packed training state.", "Get another copy of all files.")


def _mapped(value: Any, function: Callable[[Any], Any], which: Callable[[Any], bool]) -> Any:
    """A nested structure of plain values with some of them replaced."""
    if which(value):
        return function(value)
    if isinstance(value, dict):
        return {key: _mapped(one, function, which) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_mapped(one, function, which) for one in value)
    return value


def _parts(tensors: list[torch.Tensor], largest: int) -> list[list[int]]:
    """Tensors in order, in parts of at most so many bytes, each with some room for the file's own."""
    parts: list[list[int]] = [[]]
    room = limit = largest - largest // 50
    for index, tensor in enumerate(tensors):
        size = tensor.numel() * tensor.element_size() + 256
        if size > limit:
            raise InputError("largest_mb", f"is less than a tensor of {size / _MEGABYTE:.1f} MB.", "Let it be larger.")
        if size > room:
            parts.append([])
            room = limit
        parts[-1].append(index)
        room -= size
    return parts

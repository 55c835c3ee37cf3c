"""Weights of the package lungmask: finding, fetching and checking them before any work is done."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bundle.errors import InputError

__all__ = ["find_weights"]


def find_weights(model: str, weights: str | None, option: str, known: Mapping[str, tuple[str, int]]) -> Path:
    """Path of a model's weights, which belong to its network.

    Args:
        model: name of the model.
        weights: local file; if None the package's own release is used, from PyTorch's cache if it is there already.
        option: name of the option that gives the file, for messages.
        known: address and number of classes of each model, as the package states them.

    Raises:
        InputError: when the file is missing, cannot be fetched, or holds something else.
    """
    url, classes = known[model]
    if weights is None:
        path = _released(url, option)
    else:
        path = Path(weights).expanduser()
        if not path.is_file():
            raise InputError(
                path,
                f"is no file, so lungmask {model} has no weights.",
                f"Download {url} and name the file by segmenter_options.{option}.",
            )
    _check_state(path, model, classes, f"Use the file of {url} for segmenter_options.{option}.")
    return path


def _released(url: str, option: str) -> Path:
    """The package's own weights in PyTorch's cache, fetched if they are not there."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The name ends in the first digits of the file's SHA-256, and an incomplete file does not keep it.
        torch.hub.download_url_to_file(url, str(path), hash_prefix=path.stem.rsplit("-", 1)[1], progress=False)
    except (OSError, RuntimeError) as error:  # of the network, of the disk, or of the checksum
        reason = str(error).strip().splitlines()
        raise InputError(
            path,
            f"is missing and could not be downloaded from {url} ({reason[0] if reason else type(error).__name__}).",
            f"Download it elsewhere and name the file by segmenter_options.{option}.",
        ) from error
    return path


def _check_state(path: Path, model: str, classes: int, remedy: str) -> None:
    """Refuses a file that does not hold the state of a model's network."""
    from lungmask.resunet import UNet

    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpicklers and archives raise many kinds for damaged files
        raise InputError(path, "cannot be loaded as weights alone: it is damaged or holds code.", remedy) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(path, "holds no state dict.", remedy)
    with torch.device("meta"):
        network = UNet(n_classes=classes, padding=True, depth=5, up_mode="upsample", batch_norm=True, residual=False)
    try:
        network.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise InputError(
            path, f"does not fit the network of lungmask {model}, which has {classes} classes.", remedy
        ) from error
    last = list(state.values())[-1]  # by whose length the package tells the number of classes
    if last.ndim == 0 or len(last) != classes:
        raise InputError(path, "lists its entries in another order than the network, which lungmask needs.", remedy)

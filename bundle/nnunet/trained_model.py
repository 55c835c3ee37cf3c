"""The folder that nnU-Net's training writes: its descriptions and weights, checked, and read without running code."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bundle.checkpoint import read_checkpoint
from bundle.errors import InputError
from bundle.json_files import read_json_object
from bundle.nnunet.plan_values import check_channel, label_names

__all__ = ["MODEL_OPTION", "TrainedModel", "open_model"]

MODEL_OPTION = "segmenter_options.model"
_SUCH_AS = "nnUNet_results/DatasetXXX_Name/nnUNetTrainer__nnUNetPlans__3d_fullres"
_SCALAR: Any = np.float64(0).__reduce__()[0]
_PLAIN_NUMPY: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    np.dtype,
    *(type(np.dtype(kind)) for kind in (np.float16, np.float32, np.float64, np.int64, np.bool_)),
    # The learning curves in a checkpoint are numpy's numbers; numpy 1 called the module otherwise.
    (_SCALAR, "numpy._core.multiarray.scalar"),
    (_SCALAR, "numpy.core.multiarray.scalar"),
]


@dataclass(frozen=True)
class TrainedModel:
    """A trained model.

    Args:
        folder: its folder.
        dataset: contents of dataset.json.
        plans: contents of plans.json.
        checkpoints: file of each fold, by the fold's name.
        weights: state dict of each fold.
        trainer: name of the trainer class.
        configuration: name of the configuration in the plans.
        mirror_axes: spatial axes that may be mirrored in prediction, if any.
        structures: names of the structures by label.
    """

    folder: Path
    dataset: Mapping[str, Any]
    plans: Mapping[str, Any]
    checkpoints: Mapping[str, Path]
    weights: Sequence[Mapping[str, torch.Tensor]]
    trainer: str
    configuration: str
    mirror_axes: Sequence[int] | None
    structures: Mapping[int, str]


def open_model(
    folder: Path, folds: int | str | Sequence[int | str] | None = None, checkpoint: str = "checkpoint_final.pth"
) -> TrainedModel:
    """Reads a trained model.

    Args:
        folder: with dataset.json, plans.json and fold_0, fold_1, ... or fold_all.
        folds: those to use, together; all numbered ones that have the checkpoint, or else fold_all, if None.
        checkpoint: name of the checkpoint in a fold's folder.

    Raises:
        InputError: when a file is missing or damaged, does more than hold weights, or the model takes other images
            than a CT volume.
    """
    folder = Path(os.path.abspath(folder.expanduser()))
    if not folder.is_dir():
        raise InputError(f"{MODEL_OPTION} {folder}", "is no folder.", f"Give a trained model, such as {_SUCH_AS}.")
    dataset, plans = (_read(folder / name) for name in ("dataset.json", "plans.json"))
    check_channel(dataset, folder / "dataset.json")
    structures = label_names(dataset, folder / "dataset.json")
    if not isinstance(plans.get("configurations"), Mapping):
        raise InputError(folder / "plans.json", "has no configurations.", _again())
    files = _checkpoint_files(folder, folds, checkpoint)
    contents = [_read_checkpoint(path) for path in files.values()]
    first = contents[0]
    for path, content in zip(files.values(), contents):
        if (
            content["configuration"] != first["configuration"]
            or content["configuration"] not in plans["configurations"]
        ):
            raise InputError(path, f"is of the configuration {content['configuration']!r}.", _again())
    return TrainedModel(
        folder=folder,
        dataset=dataset,
        plans=plans,
        checkpoints=files,
        weights=[content["weights"] for content in contents],
        trainer=first["trainer"],
        configuration=first["configuration"],
        mirror_axes=first["mirror_axes"],
        structures=structures,
    )


def _again() -> str:
    return f"Give {MODEL_OPTION} a folder as nnUNetv2_train wrote it, such as {_SUCH_AS}."


def _read(path: Path) -> dict[str, Any]:
    content = read_json_object(path)
    if content is None:
        raise InputError(path, "does not exist.", _again())
    return content


def _checkpoint_files(folder: Path, folds: int | str | Sequence[int | str] | None, checkpoint: str) -> dict[str, Path]:
    """Checkpoints by the name of the fold."""
    if folds is None:
        found = [path.parent.name.removeprefix("fold_") for path in folder.glob(f"fold_*/{checkpoint}")]
        names = sorted((name for name in found if re.fullmatch(r"\d+", name)), key=int) or found
        if not names:
            raise InputError(
                folder / "fold_*" / checkpoint,
                "does not exist.",
                "Train the model to its end, or name another checkpoint with segmenter_options.checkpoint.",
            )
    else:
        names = [str(fold) for fold in ([folds] if isinstance(folds, (int, str)) else folds)]
        if not names or len(set(names)) < len(names) or not all(re.fullmatch(r"\d+|all", name) for name in names):
            raise InputError("segmenter_options.folds", f"is {folds!r}.", 'Give 0, [0,1] or "all", or leave it out.')
    files = {name: folder / f"fold_{name}" / checkpoint for name in names}
    for path in files.values():
        if not path.is_file():
            raise InputError(
                path,
                "does not exist.",
                "Name folds that were trained with segmenter_options.folds, and the file with "
                "segmenter_options.checkpoint.",
            )
    return files


def _read_checkpoint(path: Path) -> dict[str, Any]:
    with torch.serialization.safe_globals(_PLAIN_NUMPY):
        content = read_checkpoint(path)
    weights = content.get("network_weights", {})
    if not isinstance(weights, Mapping) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise InputError(path, "has no weights of a network.", _again())
    if not all(torch.isfinite(value).all() for value in weights.values()):
        raise InputError(path, "has weights that are not finite.", "Train the model again, or give another fold.")
    try:
        return {
            "weights": content["network_weights"],
            "trainer": str(content["trainer_name"]),
            "configuration": str(content["init_args"]["configuration"]),
            "mirror_axes": content.get("inference_allowed_mirroring_axes"),
        }
    except (KeyError, TypeError) as error:
        raise InputError(path, f"is no checkpoint of nnU-Net (it lacks {error}).", _again()) from error

"""The numbers in plans.json and dataset.json that a prediction needs, checked before any image is read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bundle.errors import InputError

__all__ = ["check_channel", "check_mirror_axes", "check_plans", "label_names"]

_AGAIN = "Give the folder as nnUNetv2_train wrote it."
_INTENSITIES = ("mean", "std", "percentile_00_5", "percentile_99_5")
_NORMALIZATIONS = ("nonorm", "rescale_to_0_1", "zscore")  # what dataset.json may name instead of a modality


def check_plans(plans: Mapping[str, Any], configuration: Mapping[str, Any], source: Path) -> None:
    """Refuses plans by which no volume could be brought to the network's grid and back.

    Args:
        plans: contents of plans.json.
        configuration: the one of its configurations that is used.
        source: file that they are from, for messages.

    Raises:
        InputError: naming the entry.
    """
    forward: Any = plans.get("transpose_forward")
    backward: Any = plans.get("transpose_backward")
    if not all(_numbers(axes, 3) and sorted(axes) == [0, 1, 2] for axes in (forward, backward)) or any(
        forward[axis] != place for place, axis in enumerate(backward)
    ):
        raise InputError(source, f"has the axes {forward!r}, and back {backward!r}.", _AGAIN)
    patch: Any = configuration.get("patch_size")
    spacing: Any = configuration.get("spacing")
    for entry, values in (("patch_size", patch), ("spacing", spacing)):
        if not any(_numbers(values, count) and min(values) > 0 for count in (2, 3)) or len(values) != len(patch):
            raise InputError(source, f"has the {entry} {values!r}.", _AGAIN)
    masks = configuration.get("use_mask_for_norm")
    if not isinstance(masks, list) or len(masks) != 1 or not isinstance(masks[0], bool):
        raise InputError(source, f"has use_mask_for_norm {masks!r}.", _AGAIN)
    for entry in ("resampling_fn_data_kwargs", "resampling_fn_seg_kwargs", "resampling_fn_probabilities_kwargs"):
        if not isinstance(configuration.get(entry), Mapping):
            raise InputError(source, f"has the {entry} {configuration.get(entry)!r}.", _AGAIN)
    entry = "foreground_intensity_properties_per_channel"
    told = plans.get(entry, plans.get("foreground_intensity_properties_by_modality"))
    intensities = told.get("0") if isinstance(told, Mapping) else None
    numbers = [intensities.get(name) for name in _INTENSITIES] if isinstance(intensities, Mapping) else None
    if not _numbers(numbers, len(_INTENSITIES)):
        raise InputError(source, f"has no {', '.join(_INTENSITIES)} in {entry}.", _AGAIN)


def check_mirror_axes(axes: Any, dimensions: int, source: Path) -> None:
    """Refuses axes to mirror that the network's images do not have.

    Raises:
        InputError: naming them.
    """
    if axes is None:
        return
    known = range(dimensions)
    if not isinstance(axes, Sequence) or any(axis not in known for axis in axes) or len(set(axes)) < len(axes):
        raise InputError(source, f"mirrors the axes {axes!r} of images with {dimensions}.", _AGAIN)


def check_channel(dataset: Mapping[str, Any], source: Path) -> None:
    """Refuses models that take other images than one CT volume.

    Raises:
        InputError: naming the channels.
    """
    channels = dataset.get("channel_names", dataset.get("modality"))
    if not isinstance(channels, Mapping) or len(channels) != 1:
        raise InputError(source, f"has the channels {channels}.", "Give a model for CT alone.")
    name = str(next(iter(channels.values()))).lower()
    if "ct" not in name and name not in _NORMALIZATIONS:
        raise InputError(
            source, f"has the channels {channels}.", "Give a model for CT; if it is one, let channel_names say CT."
        )


def label_names(dataset: Mapping[str, Any], source: Path) -> dict[int, str]:
    """Names of the structures by label; underscores in names become spaces.

    Args:
        dataset: contents of dataset.json.
        source: its file, for messages.

    Raises:
        InputError: when labels are regions, which overlap and so are no label map, or are not numbered 0, 1, ...
    """
    labels = dataset.get("labels")
    values: dict[str, int] = {}
    for name, given in labels.items() if isinstance(labels, Mapping) else ():
        members = given if isinstance(given, list) else [given]
        if len(members) > 1:
            raise InputError(
                source, f"has overlapping regions, such as {name} {given}.", "Give a model that was trained on labels."
            )
        if len(members) != 1 or type(members[0]) is not int:
            raise InputError(source, f"has the label {name}: {given!r}.", _AGAIN)
        values[name] = members[0]
    consecutive = sorted(values.values()) == list(range(len(values)))
    ignored = values.get("ignore", len(values) - 1)
    if not consecutive or values.get("background") != 0 or ignored != len(values) - 1:
        raise InputError(source, f"has labels that are not background 0, and then 1, 2, ...: {labels!r}.", _AGAIN)
    names = {value: name.replace("_", " ") for name, value in values.items() if value and name != "ignore"}
    if not names or len(set(names.values())) < len(names):
        raise InputError(source, f"does not name each structure: {labels!r}.", _AGAIN)
    return names


def _numbers(values: Any, count: int) -> bool:
    """Whether something is a list of as many finite numbers."""
    return (
        isinstance(values, list)
        and len(values) == count
        and all(type(value) in (int, float) and math.isfinite(value) for value in values)
    )

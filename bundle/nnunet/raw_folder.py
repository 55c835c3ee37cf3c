"""The folder of an nnU-Net raw data set: its name, what may be there, and writing it as a whole."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bundle.atomic import PARTIAL_PREFIX, check_output, replace_folder
from bundle.errors import InputError
from bundle.json_files import read_json_object, write_json

__all__ = ["DATASET", "PROVENANCE", "raw_folder", "written_as_a_whole"]

DATASET = "dataset.json"
PROVENANCE = "provenance"
"""Entry of dataset.json by which folders that were written here are known."""


def raw_folder(output: Path, dataset_id: int, name: str, overwrite: bool) -> Path:
    """The folder DatasetXXX_Name of a data set, if it may be written.

    Args:
        output: the folder that nnUNet_raw names.
        dataset_id: 1 to 999.
        name: letters, digits, - and _.
        overwrite: whether it may replace one that was written here.

    Raises:
        InputError: when the id or name cannot be used, another data set has the id, or the folder exists.
    """
    if not 1 <= dataset_id <= 999:
        raise InputError("dataset_id", f"is {dataset_id}.", "Give 1 to 999; nnU-Net's own sets have 1 to 10.")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise InputError("name", f"is {name!r}.", "Give letters, digits, - and _ alone.")
    folder = output / f"Dataset{dataset_id:03d}_{name}"
    others = sorted(path.name for path in output.glob(f"Dataset{dataset_id:03d}*") if path != folder)
    if others:
        raise InputError("dataset_id", f"{dataset_id} is that of {output / others[0]}.", "Give another id.")
    filled = folder.is_dir() and any(folder.iterdir())
    check_output(folder, overwrite or (folder.is_dir() and not filled), folder=True)
    if filled and PROVENANCE not in (read_json_object(folder / DATASET) or {}):
        raise InputError(folder, "was not written by nnunet-export.", "Choose another name, or remove it yourself.")
    return folder


@contextmanager
def written_as_a_whole(folder: Path, dataset: Mapping[str, Any]) -> Iterator[Path]:
    """Gives a temporary folder with dataset.json, which becomes the folder in the end and replaces what is there.

    The temporary folder stays if that fails, and is given again, with what it has, for the same dataset.json. Those of
    other names for the data set's id are removed.

    Args:
        folder: the data set's folder.
        dataset: contents of its dataset.json.
    """
    partial = folder.with_name(f"{PARTIAL_PREFIX}{folder.name}")
    for abandoned in folder.parent.glob(f"{PARTIAL_PREFIX}{folder.name.split('_')[0]}_*"):
        if abandoned != partial:
            shutil.rmtree(abandoned, ignore_errors=True)
    if not partial.is_dir() or read_json_object(partial / DATASET) != dataset:
        shutil.rmtree(partial, ignore_errors=True)
        write_json(dataset, partial / DATASET)
    yield partial
    for leftover in partial.glob(f"*/{PARTIAL_PREFIX}*"):
        leftover.unlink()
    replace_folder(partial, folder)

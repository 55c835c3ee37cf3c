"""Given label maps as references: which values make which structure, on the truth's grid."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from bundle.data.ct_volume import check_nifti_header, unreadable
from bundle.data.datalist import LISTING, load_datalist
from bundle.errors import InputError
from bundle.evaluation.grids import Volume, on_grid
from bundle.json_files import read_json_object
from bundle.prepared.case import DESCRIPTION, PreparedCase

__all__ = ["LabelStructures", "label_source", "labels_by_case", "read_labels"]


class LabelStructures:
    """What the values of label maps mean.

    Args:
        structures: values by name, such as {"right lung": [12, 13, 14], "left lung": [10, 11]}.
        others: values that may occur and belong to no structure.

    Raises:
        InputError: when a value is none, or belongs to two structures.
    """

    def __init__(self, structures: Mapping[str, Sequence[int]], others: Sequence[int] = ()) -> None:
        taken: dict[int, str] = {}
        for name, values in structures.items():
            values = [values] if isinstance(values, int) else values
            if isinstance(values, str) or not values or not all(isinstance(v, int) and v > 0 for v in values):
                raise InputError(f"label_structures.{name}", f"is {values!r}.", "Give its values, as [12, 13, 14].")
            for value in values:
                if value in taken:
                    raise InputError(
                        f"label_structures.{name}", f"shares value {value} with {taken[value]}.", "Give it to one."
                    )
                taken[value] = name
        self.values = taken
        self.names = dict(enumerate(structures, start=1))
        self._others = {0, *others}

    @classmethod
    def of(cls, dataset_dir: str | Path, given: Mapping[str, Sequence[int]] | None) -> LabelStructures | None:
        """Those that are given, or else the "labels" of a data set's dataset.json; None without any.

        Values that dataset.json names may occur in label maps; those that nothing names may not.

        Raises:
            InputError: when "labels" does not map values to names.
        """
        path = Path(dataset_dir) / LISTING
        listed: Mapping[str, str] = {}
        if path.is_file():
            listed = json.loads(path.read_text(encoding="utf-8")).get("labels") or {}
        try:
            names = {int(value): str(name) for value, name in listed.items()}
        except (AttributeError, ValueError):
            raise InputError(path, f"has labels {listed!r}.", 'Let them be {"1": "right lung", ...}.') from None
        if given:
            return cls(given, [*names])
        return cls({name: [value] for value, name in names.items() if value > 0}) if names else None

    def group(self, labels: np.ndarray, source: object) -> np.ndarray:
        """Turns values into numbers of structures.

        Args:
            labels: [X, Y, Z] integers.
            source: what to name in a message.

        Returns:
            [X, Y, Z] uint8: 1 for the first structure, and so on; see ``names``.

        Raises:
            InputError: when a value is unknown.
        """
        present = np.unique(labels)
        unknown = [int(value) for value in present if int(value) not in self._others and int(value) not in self.values]
        if unknown:
            raise InputError(
                source,
                f"has classes {unknown[:10]} that belong to no structure.",
                "Name them in label_structures, or under labels in the data set's dataset.json.",
            )
        numbers = {name: number for number, name in self.names.items()}
        table = np.array([numbers.get(self.values.get(int(value), ""), 0) for value in present], dtype=np.uint8)
        return table[np.searchsorted(present, labels)]


def label_source(item: Mapping[str, Any]) -> Path | None:
    """Where a data set's item has its label map: a file, or its prepared case; None if it has none."""
    if "label" in item:
        return Path(item["label"])
    folder = Path(item["image"])
    record = read_json_object(folder / DESCRIPTION) if folder.is_dir() else None
    return folder if record and record.get("labels") else None


def labels_by_case(dataset_dir: str | Path, section: str) -> dict[str, Path | None]:
    """Where the cases of a section have their label maps."""
    return {item["case"]: label_source(item) for item in load_datalist(dataset_dir, section)}


def read_labels(source: Path, structures: LabelStructures, grid: Volume) -> np.ndarray:
    """Reads a label map on a volume's grid.

    Args:
        source: NIfTI label map in patient coordinates, or the folder of a prepared case.
        structures: what the values mean.
        grid: the volume; labels on another grid are resampled by the nearest.

    Returns:
        [X, Y, Z] numbers of structures.

    Raises:
        InputError: when there are no labels, they are not whole numbers, or a value is unknown.
    """
    if source.is_dir():
        case = PreparedCase.open(source)
        if case.labels is None:
            raise InputError(source, "has no labels.", "Prepare the data set with --keep_labels true.")
        labels, affine = case.labels, case.affine_ras
    else:
        if not source.is_file():
            raise InputError(source, "does not exist.", "Correct the case's label in dataset.json.")
        check_nifti_header(source)
        try:
            image = nib.load(source)
            labels, affine = np.asarray(image.dataobj), image.affine
        except Exception as error:  # damaged files raise many kinds
            raise unreadable(source, error) from error
        if labels.ndim != 3 or not np.array_equal(labels, np.rint(labels)):
            raise InputError(source, "is not a 3D map of whole numbers.", "Give a label map.")
    grouped = structures.group(labels.astype(np.int64), source)
    return on_grid((grouped, affine), grid, order=0, outside=0)

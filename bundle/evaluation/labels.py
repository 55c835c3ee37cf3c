"""Given label maps as references: which values make which structure, on the truth's grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bundle.byte_ranges import is_url
from bundle.data.datalist import LISTING, load_datalist, read_listing
from bundle.data.grids import Volume, on_grid, overlap, same_grid
from bundle.data.structures import parse_structures
from bundle.data.volume_reader import read_image
from bundle.errors import InputError
from bundle.prepared.case import DESCRIPTION, PreparedCase

__all__ = ["LabelStructures", "label_source", "labels_by_case", "read_labels"]

_LARGEST = 65535


class LabelStructures:
    """What the values of label maps mean.

    Args:
        structures: values by name, such as {"right lung": [12, 13, 14], "left lung": [10, 11]}, as
            :func:`parse_structures` takes them.
        others: values that may occur and belong to no structure.
        source: what to name in messages.

    Raises:
        InputError: when a name or value is none, or a value belongs to two structures.
    """

    def __init__(
        self,
        structures: str | Mapping[str, int | Sequence[int]],
        others: Sequence[int] = (),
        source: object = "label_structures",
    ) -> None:
        parsed = parse_structures(structures, source)
        self.values = {value: name for name, values in parsed.items() for value in values}
        self.names = dict(enumerate(parsed, start=1))
        self._others = {0, *others}

    @classmethod
    def of(
        cls, dataset_dir: str | Path | None, given: str | Mapping[str, int | Sequence[int]] | None
    ) -> LabelStructures | None:
        """Those that are given, or else the "labels" of a data set's dataset.json; None without any.

        Values that dataset.json names may occur in label maps; those that nothing names may not.

        Raises:
            InputError: when "labels" does not map values to names.
        """
        path = f"{dataset_dir}/{LISTING}"
        listed = ((read_listing(dataset_dir) if dataset_dir else None) or {}).get("labels") or {}
        try:
            names = {int(value): str(name) for value, name in listed.items()}
        except (AttributeError, ValueError):
            raise InputError(path, f"has labels {listed!r}.", 'Let them be {"1": "right lung", ...}.') from None
        if given:
            return cls(given, [*names])
        values: dict[str, list[int]] = {}
        for value, name in names.items():
            if value > 0:
                values.setdefault(name, []).append(value)
        return cls(values, source=f"{path} labels") if values else None

    def group(self, labels: np.ndarray, source: object) -> np.ndarray:
        """Turns values into numbers of structures.

        Args:
            labels: [X, Y, Z] integers from 0.
            source: what to name in a message.

        Returns:
            [X, Y, Z] uint8, or uint16 for more than 255 structures: 1 for the first, and so on; see ``names``.

        Raises:
            InputError: when a value is unknown.
        """
        present = np.flatnonzero(np.bincount(labels.ravel()))
        unknown = [int(value) for value in present if int(value) not in self._others and int(value) not in self.values]
        if unknown:
            raise InputError(
                source,
                f"has classes {unknown[:10]} that belong to no structure.",
                "Name them in label_structures, or under labels in the data set's dataset.json.",
            )
        numbers = {name: number for number, name in self.names.items()}
        table = np.zeros(int(present.max()) + 1, dtype=np.min_scalar_type(len(numbers)))
        for value in present:
            table[value] = numbers.get(self.values.get(int(value), ""), 0)
        return table[labels]


def label_source(item: Mapping[str, Any]) -> str | None:
    """Where a data set's item has its label map: a file, or its prepared case; None if it has none."""
    if "label" in item:
        return item["label"]
    image = str(item["image"])
    if not is_url(image) and not (Path(image) / DESCRIPTION).is_file():
        return None
    return image if PreparedCase.open(image).record["labels"] else None


def labels_by_case(dataset_dir: str | Path, section: str) -> dict[str, str | None]:
    """Where the cases of a section have their label maps."""
    return {item["case"]: label_source(item) for item in load_datalist(dataset_dir, section)}


def read_labels(source: str | Path, structures: LabelStructures, grid: Volume) -> np.ndarray:
    """Reads a label map on a volume's grid.

    Args:
        source: label map in patient coordinates, in any format of volumes, or the folder or URL of a prepared case.
        structures: what the values mean.
        grid: the volume; labels on another grid are resampled by the nearest.

    Returns:
        [X, Y, Z] numbers of structures.

    Raises:
        InputError: when there are no labels, they are not whole numbers, or a value is unknown.
    """
    if is_url(str(source)) or Path(source).is_dir():
        case = PreparedCase.open(source)
        if case.labels is None:
            raise InputError(source, "has no labels.", "Prepare the data set with --keep_labels true.")
        labels, affine = case.labels, case.affine_ras
    else:
        labels, affine = read_image(Path(source))
        if labels.dtype != np.int16:
            if not np.array_equal(labels, np.rint(labels)):
                raise InputError(source, "is not a 3D map of whole numbers.", "Give a label map.")
            labels = labels.astype(np.int64)
    if labels.min() < 0 or labels.max() > _LARGEST:
        raise InputError(source, f"has values from {labels.min()} to {labels.max()}.", "Give a label map.")
    grouped = structures.group(labels, source)
    found = (grouped, np.asarray(affine, dtype=np.float64))
    if same_grid(found, grid):
        return grouped
    if not overlap(found, grid):
        raise InputError(source, "lies nowhere within its volume.", "Give the volume's own label map.")
    return on_grid(found, grid, order=0, outside=0)

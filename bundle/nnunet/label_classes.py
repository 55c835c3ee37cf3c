"""Which values of label maps become which of nnU-Net's classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bundle.errors import InputError
from bundle.optional import require

__all__ = ["LabelClasses", "parse_structures"]

_BACKGROUND = "background"
_RESERVED = (_BACKGROUND, "ignore")  # what nnU-Net gives a meaning of its own
_EXAMPLE = 'Give names and values, such as "{right lung: [12,13,14], left lung: [10,11]}".'


@dataclass(frozen=True)
class LabelClasses:
    """Structures in the order of nnU-Net's classes 1, 2, ...; all other values are background, class 0.

    Args:
        values: values in the label maps, by the name of the structure.
    """

    values: Mapping[str, tuple[int, ...]]

    @classmethod
    def of_values(cls, found: Iterable[int]) -> LabelClasses:
        """A class for every value but 0, in ascending order, named after the value: "structure 5".

        Raises:
            InputError: when there is no value but 0.
        """
        values = sorted(set(found) - {0})
        if not values:
            raise InputError("labels", "are 0 everywhere.", "Prepare a set whose labels mark something.")
        return cls({f"structure {value}": (value,) for value in values})

    def check_found(self, found: Iterable[int]) -> None:
        """Refuses structures that occur nowhere.

        Args:
            found: the values in the label maps of all cases.

        Raises:
            InputError: naming the first such structure.
        """
        known = set(found)
        for name, values in self.values.items():
            if known.isdisjoint(values):
                raise InputError(
                    f"structures {name}",
                    f"has the values {list(values)}, which no case has.",
                    f"The cases have {sorted(known)}.",
                )

    @property
    def dataset_labels(self) -> dict[str, int]:
        """The entry "labels" of nnU-Net's dataset.json."""
        return {_BACKGROUND: 0} | {name: number for number, name in enumerate(self.values, start=1)}

    def apply(self, labels: np.ndarray) -> np.ndarray:
        """Classes of labels, uint8 or, if there are more than that holds, uint16, of the same shape."""
        dtype = np.uint8 if len(self.values) < 256 else np.uint16
        pairs = sorted((value, number) for number, of in enumerate(self.values.values(), start=1) for value in of)
        keys = np.array([value for value, _ in pairs], dtype=np.int64)
        numbers = np.array([number for _, number in pairs], dtype=dtype)
        place = np.searchsorted(keys, labels).clip(max=len(keys) - 1)
        return np.where(keys[place] == labels, numbers[place], dtype(0))


def parse_structures(structures: str | Mapping[str, Any]) -> LabelClasses:
    """The classes that a user names.

    Args:
        structures: a value or a list of values by name, also as YAML or JSON text. Underscores in names stand for
            spaces.

    Raises:
        InputError: when it is something else, empty, or gives a value to two structures, or 0 to one.
    """
    if isinstance(structures, str):
        yaml = require("yaml", "pyyaml", "nnunet-export with names of structures")
        try:
            structures = yaml.safe_load(structures)
        except yaml.YAMLError as error:
            raise InputError("structures", f"cannot be read ({' '.join(str(error).split())}).", _EXAMPLE) from error
    if not isinstance(structures, Mapping) or not structures:
        raise InputError("structures", f"is {structures!r}.", _EXAMPLE)
    parsed: dict[str, tuple[int, ...]] = {}
    owner: dict[int, str] = {}
    for key, given in structures.items():
        name = str(key).replace("_", " ").strip()
        if not name or name in _RESERVED or name in parsed:
            raise InputError("structures", f"has the name {key!r}.", "Give each structure a name of its own.")
        values = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
        if not values or not all(type(value) is int and value != 0 for value in values):
            raise InputError(f"structures {name}", f"has the values {given!r}.", "Give whole numbers other than 0.")
        for value in values:
            if value in owner:
                raise InputError(
                    f"structures {name}", f"has the value {value}, as {owner[value]} has.", "Give each value once."
                )
            owner[value] = name
        parsed[name] = tuple(values)
    return LabelClasses(parsed)

"""Which values of label maps become which of nnU-Net's classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bundle.data.structures import parse_structures
from bundle.errors import InputError

__all__ = ["LabelClasses"]

_BACKGROUND = "background"
_RESERVED = (_BACKGROUND, "ignore")  # what nnU-Net gives a meaning of its own


@dataclass(frozen=True)
class LabelClasses:
    """Structures in the order of nnU-Net's classes 1, 2, ...; all other values are background, class 0.

    Args:
        values: values in the label maps, by the name of the structure.
    """

    values: Mapping[str, tuple[int, ...]]

    @classmethod
    def named(cls, structures: str | Mapping[str, Any]) -> LabelClasses:
        """The classes that a user names, in the order given.

        Args:
            structures: as :func:`parse_structures` takes them.

        Raises:
            InputError: when it is something else, or a name has a meaning of its own in nnU-Net.
        """
        values = parse_structures(structures)
        for name in values:
            if name.lower() in _RESERVED:
                raise InputError("structures", f"has the name {name!r}.", "nnU-Net keeps it: give another.")
        return cls(values)

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

"""Random transforms whose result follows from an item's own seed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from monai.data.utils import set_rnd
from monai.transforms import Compose, Transform

from bundle.errors import InputError

__all__ = ["SeededCompose"]


class SeededCompose(Transform):
    """Applies transforms, seeded anew for every item, so that their results may be cached and made again.

    Args:
        transforms: in the order of use.
        key: entry with the item's seed.

    Raises:
        InputError: when called with an item that has no seed.
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], key: str = "seed") -> None:
        self.transform = Compose(list(transforms))
        self.key = key
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Transforms one item."""
        if self.key not in data:
            raise InputError(f"case {data.get('case', 'unknown')}", f"has no {self.key}.", "Give every item one.")
        with self._lock:
            set_rnd(self.transform, seed=int(data[self.key]))
            return self.transform(dict(data))

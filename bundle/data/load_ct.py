"""Dictionary transform that reads CT volumes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from bundle.arguments import is_true
from bundle.data.ct_volume import read_ct

__all__ = ["LoadCTd"]


class LoadCTd(MapTransform):
    """Reads CT volumes and refuses what is not CT; see :func:`bundle.data.ct_volume.read_ct`.

    Args:
        keys: entries that hold paths.
        check_hu: refuse intensities that cannot be HU.
        allow_missing_keys: skip absent entries.
    """

    def __init__(self, keys: KeysCollection, check_hu: bool = True, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.check_hu = is_true(check_hu, "check_hu")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Transforms one item."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = read_ct(d[key], self.check_hu)
        return d

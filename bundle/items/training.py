"""Stored items as training data."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bundle.data.load_projections import with_pixels
from bundle.errors import InputError
from bundle.geometry_rows import pack_geometry
from bundle.items.folder import ItemFolder
from bundle.items.item import Item
from bundle.items.make import ItemMaker
from bundle.items.recipe import ItemRecipe
from bundle.presets import ScanPreset
from bundle.simulation import SCANNED_FROM

__all__ = ["StoredItems", "TrainingItem"]


class StoredItems:
    """The items of a recipe by number, for :class:`bundle.data.moving_window.MovingWindow`.

    Args:
        recipe: the recipe.
        most_views: pass items over that have more views; none if None.
        count: items of the recipe that are used, again and again; the list has no end if None.

    Raises:
        InputError: when no item is left.
    """

    def __init__(self, recipe: ItemRecipe, most_views: int | None = None, count: int | None = None) -> None:
        self.recipe = recipe
        self.most_views = most_views
        self.count = count
        self._numbers: list[int] = []
        self._next = 0
        if most_views is not None and most_views < recipe.views[0]:
            raise InputError("num_sparse", f"is at most {most_views}.", f"Items have {recipe.views[0]} views or more.")
        if count is not None:
            self._look_ahead(count)
            if not self._numbers:
                raise InputError("items", f"are {count}, all with more than {most_views} views.", "Use more.")

    @property
    def names(self) -> list[str]:
        """The generated anatomies and the names of the real cases."""
        return self.recipe.volumes.names

    def __getitem__(self, index: int) -> dict[str, Any]:
        """What the item of a place in the list will be: its "number" and "case"."""
        if self.count is not None:
            index %= len(self._numbers)
        while len(self._numbers) <= index:
            self._look_ahead(self._next + 64)
        number = self._numbers[index]
        return {"number": number, "case": f"item {number}"}

    def _look_ahead(self, end: int) -> None:
        for number in range(self._next, end):
            if self.most_views is None or self.recipe.plan(number).views <= self.most_views:
                self._numbers.append(number)
        self._next = end


class TrainingItem:
    """Gives an item of :class:`StoredItems` as the transforms of a training take it, read or made.

    Adds "image" [1, X, Y, Z] float16, "projections" [views, V, U] float16 of the network's pixels, their "matrices"
    [views, 3, 4] and "geometry" [views, 26], "sparse_mask" [views], and "prior" [1, X, Y, Z] float16. Items that a
    folder lacks, or has damaged, are made, which gives the same.

    Args:
        recipe: the recipe.
        scan: the network's scan, whose pixels it sees.
        folder: items that were made; all are made here if None.
        views: number of views, which items with fewer reach by repeating theirs.
        prior: whether the network takes a reconstruction by total variation.

    Raises:
        InputError: when the folder holds items of another recipe, or the scan's grid is another.
    """

    def __init__(
        self,
        recipe: ItemRecipe,
        scan: ScanPreset,
        folder: str | Path | None = None,
        views: int | None = None,
        prior: bool = True,
    ) -> None:
        if (*scan.volume_shape, *scan.voxel_mm) != (*recipe.scan.volume_shape, *recipe.scan.voxel_mm):
            raise InputError(
                "items_dir",
                f"has items of {list(recipe.scan.volume_shape)} voxels, the network's are {list(scan.volume_shape)}.",
                "Train at the items' size, or make others.",
            )
        self.scan = scan
        self.views = views
        self.prior = prior
        self.maker = ItemMaker(recipe)
        self.store = None if folder is None else ItemFolder(folder, recipe)
        if self.store is not None:
            self.store.check_recipe()

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Gives one item."""
        item = self._item(int(data["number"]))
        projections = with_pixels(item.projections.float(), self.scan.detector_shape).half()
        geometry = item.geometry.with_pixels(self.scan.detector_shape)
        rows = np.resize(np.arange(len(projections)), self.views or len(projections))
        d: dict[str, Any] = {
            **data,
            "image": item.truth[None],
            "projections": projections[rows],
            "matrices": torch.as_tensor(geometry.unit_matrices()[rows], dtype=torch.float32),
            "geometry": pack_geometry(geometry)[rows],
            "sparse_mask": torch.ones(len(rows), dtype=torch.bool),
            SCANNED_FROM: item.scanned_from,
        }
        if self.prior:
            d["prior"] = self._tv(int(data["number"]), item)[None]
        return d

    def _item(self, number: int) -> Item:
        if self.store is not None:
            try:
                return self.store.read_scan(number)
            except InputError as error:
                logging.getLogger(__name__).warning("%s It is made for this run.", error)
        return self.maker.scan(self.maker.recipe.plan(number))

    def _tv(self, number: int, item: Item) -> torch.Tensor:
        if self.store is not None:
            try:
                return self.store.read_tv(number)
            except InputError as error:
                logging.getLogger(__name__).warning("%s It is made for this run.", error)
        return self.maker.total_variation(item)

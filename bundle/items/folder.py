"""A folder of items on disk.

- ``recipe.json``: what decides the items;
- ``scans/NNNNNN.npz``: truth, projections and geometry of an item;
- ``tv/NNNNNN.npz``: its reconstruction by total variation;
- ``items.csv``: a row for each item, with what it is and the checksums of its files.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bundle.atomic import atomic_path, remove_partial
from bundle.checksums import file_sha256
from bundle.data.npz_archive import read_npz
from bundle.errors import InputError, naming, told_changes
from bundle.geometry_rows import pack_geometry, unpack_geometry
from bundle.items.item import Item
from bundle.items.recipe import ItemRecipe
from bundle.json_files import parse_json_object, read_json_object, write_json
from bundle.optional import require
from bundle.tables import read_rows, write_rows

__all__ = ["ItemFolder"]

_FORMAT, _RECIPE = "deepsparse-item", "recipe.json"
_REMAKE = "Make it again: python -m bundle items with the folder's settings."


class ItemFolder:
    """Reads and writes the items of one recipe.

    Args:
        folder: the folder.
        recipe: the recipe.
    """

    def __init__(self, folder: str | Path, recipe: ItemRecipe) -> None:
        self.folder = Path(folder)
        self.recipe = recipe

    def claim(self) -> None:
        """Writes the recipe into a new folder, or compares it with the one that is there.

        Raises:
            InputError: when the folder holds items of another recipe, or something else.
        """
        self.check_folder()
        if (self.folder / _RECIPE).is_file():
            return
        write_json({"scans": self.recipe.as_dict(), "tv": self.recipe.tv_options}, self.folder / _RECIPE)

    def check_folder(self) -> None:
        """Refuses a folder that holds items of another recipe, or something else; leaves it as it is.

        Raises:
            InputError: naming what it holds.
        """
        if (self.folder / _RECIPE).is_file():
            self.check_recipe()
            return
        others = sorted(p.name for p in self.folder.iterdir() if p.name != ".lock") if self.folder.is_dir() else []
        if others:
            raise InputError(self.folder, f"is not empty and holds no items: it has {others[0]}.", "Choose another.")

    def check_recipe(self) -> None:
        """Compares the recipe with the folder's.

        Raises:
            InputError: when the folder holds items of another recipe, or none.
        """
        known = read_json_object(self.folder / _RECIPE)
        if known is None:
            raise InputError(self.folder, f"holds no items: it has no {_RECIPE}.", "Make them: python -m bundle items.")
        changed = told_changes(known.get("scans", {}), self.recipe.as_dict())
        if changed:
            raise InputError(
                self.folder, f"holds items of another recipe: {changed}.", "Give the same, or choose another folder."
            )
        if known.get("tv") != self.recipe.tv_options:
            raise InputError(
                self.folder / "tv",
                f"was made with other options of total variation: {known.get('tv')}, not {self.recipe.tv_options}.",
                f"Give the same. Or delete this folder, write the new ones into {_RECIPE}, and make it again.",
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps a second run from making the same items.

        Raises:
            InputError: when another run writes into the folder.
        """
        filelock = require("filelock", "filelock", "making items")
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with filelock.FileLock(self.folder / ".lock", timeout=0):
                yield
        except filelock.Timeout:
            raise InputError(self.folder, "is being written by another run.", "Wait for it, or stop it.") from None

    def clean(self) -> None:
        """Removes what killed runs left half written; only under the lock."""
        for part in ("scans", "tv"):
            remove_partial(self.folder / part, "*.npz")
        for name in ("items.csv", _RECIPE):
            remove_partial(self.folder, name)

    def path(self, part: str, number: int) -> Path:
        """An item's file: of "scans" or "tv"."""
        return self.folder / part / f"{number:06d}.npz"

    def rows(self) -> dict[int, dict[str, str]]:
        """The list of the items by number."""
        return {int(row["number"]): row for row in read_rows(self.folder / "items.csv")}

    def write_rows(self, rows: Mapping[int, Mapping[str, Any]]) -> None:
        """Writes the list of the items."""
        write_rows([dict(rows[number]) for number in sorted(rows)], self.folder / "items.csv")

    def write_scan(self, number: int, item: Item) -> str:
        """Writes an item's truth and scan; gives the file's SHA-256."""
        header = {"number": number, "recipe": self.recipe.digest, "photons": item.photons, "from": item.scanned_from}
        arrays = {"truth": item.truth.numpy(), "projections": item.projections.numpy()}
        return self._write("scans", number, header, {**arrays, "geometry": pack_geometry(item.geometry).numpy()})

    def write_tv(self, number: int, volume: torch.Tensor, scan_sha256: str) -> str:
        """Writes an item's reconstruction; gives the file's SHA-256."""
        return self._write("tv", number, {"number": number, "scan": scan_sha256}, {"volume": volume.numpy()})

    def read_scan(self, number: int) -> Item:
        """Reads an item's truth and scan.

        Raises:
            InputError: when the file is missing, damaged, or of another recipe.
        """
        header, arrays = self._read("scans", number, ("truth", "projections", "geometry"))
        path = self.path("scans", number)
        if header.get("recipe") != self.recipe.digest:
            raise InputError(path, f"is of the recipe {header.get('recipe')}, not {self.recipe.digest}.", _REMAKE)
        with naming(path):
            geometry = unpack_geometry(torch.from_numpy(arrays["geometry"]))
        truth, projections = (torch.from_numpy(arrays[name]) for name in ("truth", "projections"))
        return Item(truth, projections, geometry, header["photons"], header["from"])

    def read_tv(self, number: int) -> torch.Tensor:
        """Reads an item's reconstruction [X, Y, Z].

        Raises:
            InputError: when the file is missing, damaged, or of another scan than the item's.
        """
        header, arrays = self._read("tv", number, ("volume",))
        scan = self.path("scans", number)
        if not scan.is_file() or header.get("scan") != file_sha256(scan):
            raise InputError(self.path("tv", number), "is of another scan.", _REMAKE)
        return torch.from_numpy(arrays["volume"])

    def _write(self, part: str, number: int, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
        path = self.path(part, number)
        text = np.frombuffer(json.dumps({"format": _FORMAT, **header}).encode(), dtype=np.uint8)
        content = io.BytesIO()
        np.savez_compressed(content, header=text, **arrays)  # type: ignore[arg-type]
        with atomic_path(path) as temporary:
            temporary.write_bytes(content.getbuffer())
            return file_sha256(temporary)

    def _read(self, part: str, number: int, names: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        path = self.path(part, number)
        if not path.is_file():
            raise InputError(path, "does not exist.", _REMAKE)
        try:
            arrays = read_npz(path)  # reads each array to its end, and so compares the archive's checksums
            header = parse_json_object(arrays.pop("header").tobytes(), path, _REMAKE)
        except InputError:
            raise
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(path, f"is damaged ({error}).", _REMAKE) from error
        if header.get("format") != _FORMAT or header.get("number") != number or set(arrays) != set(names):
            raise InputError(path, "is no item of this number.", _REMAKE)
        return header, arrays

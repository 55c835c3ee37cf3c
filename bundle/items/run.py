"""Making a folder of items, in slices, safe to stop at any time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle.checksums import file_sha256
from bundle.errors import InputError
from bundle.items.folder import ItemFolder
from bundle.items.item import Item
from bundle.items.make import ItemMaker
from bundle.items.recipe import ItemRecipe, Plan

__all__ = ["ItemsSummary", "make_items"]


@dataclass(frozen=True)
class ItemsSummary:
    """What a run did.

    Args:
        items: complete items that the folder has now.
        count: items that were asked for.
        made: items that this run made or completed.
        mended: files that were damaged, and made again.
        seconds: that it took.
        bytes: size of the folder's items.
    """

    items: int
    count: int
    made: int
    mended: int
    seconds: float
    bytes: int

    def __str__(self) -> str:
        rate = f", {self.seconds / self.made:.0f} s each" if self.made else ""
        left = self.count - self.items
        hours = f"; {left} are left, about {left * self.seconds / self.made / 3600:.1f} h" if self.made and left else ""
        mended = f", {self.mended} of them in place of damaged files" if self.mended else ""
        return f"{self.items} of {self.count} items, {self.bytes / 1e9:.2f} GB: made {self.made}{mended}{rate}{hours}"


def make_items(
    recipe: ItemRecipe,
    folder: str | Path,
    count: int,
    minutes: float | None = None,
    check: bool = False,
    progress: Callable[[str], None] = print,
) -> ItemsSummary:
    """Makes the items 0 to count - 1 that a folder lacks.

    May be killed at any time, and goes on where it stopped: files are complete or absent, and the list is written
    after each item.

    Args:
        recipe: the recipe.
        folder: new, empty, or of the same recipe.
        count: number of items that the folder is to have.
        minutes: begin no further item after so long; no bound if None.
        check: read every file first, instead of comparing sizes, and make damaged ones again.
        progress: told a line for each item.

    Raises:
        InputError: when the folder is of another recipe or in use, the disk is full, or an item cannot be made.
    """
    for name, value in (("count", count), ("minutes", minutes)):
        if value is not None and value <= 0:
            raise InputError(name, f"is {value}.", "Give a positive number.")
    store, maker = ItemFolder(folder, recipe), ItemMaker(recipe)
    store.check_folder()
    started, made, mended = time.monotonic(), 0, 0
    with store.locked():
        store.claim()
        store.clean()
        rows: dict[int, dict[str, Any]] = {number: dict(row) for number, row in store.rows().items()}
        for number in range(count):
            if minutes is not None and time.monotonic() - started > 60 * minutes:
                break
            row = rows.get(number, {})
            sound = {part: _is_sound(store, part, number, row, check) for part in ("scans", "tv")}
            if all(sound.values()):
                continue
            mended += any(not sound[part] and store.path(part, number).exists() for part in sound)
            if sound["scans"]:
                item = store.read_scan(number)
            else:
                item, row = _add_scan(store, maker, recipe.plan(number))
            rows[number] = {**row, **_add_tv(store, maker, number, item, row["scan_sha256"])}
            made += 1
            store.write_rows(rows)
            progress(_told(number, rows[number], count))
    done = [row for row in rows.values() if row.get("tv_sha256")]
    size = sum(int(row["scan_bytes"]) + int(row["tv_bytes"]) for row in done)
    return ItemsSummary(len(done), count, made, mended, time.monotonic() - started, size)


def _add_scan(store: ItemFolder, maker: ItemMaker, plan: Plan) -> tuple[Item, dict[str, Any]]:
    """Makes and writes an item's scan, and begins its row."""
    began = time.process_time()
    item = maker.scan(plan)
    scan_sha256 = store.write_scan(plan.number, item)
    return item, {
        "number": plan.number,
        "case": plan.anatomy["case"],
        "source": plan.anatomy["source"],
        "seed": plan.seed,
        "views": plan.views,
        "photons": "" if plan.photons is None else f"{plan.photons:.0f}",
        "truncation": f"{plan.truncation:.3f}",
        "scanned_from": item.scanned_from,
        "scan_sha256": scan_sha256,
        "scan_bytes": store.path("scans", plan.number).stat().st_size,
        "scan_cpu_s": f"{time.process_time() - began:.1f}",
    }


def _add_tv(store: ItemFolder, maker: ItemMaker, number: int, item: Item, scan_sha256: str) -> dict[str, Any]:
    """Makes and writes an item's reconstruction by total variation, and gives its part of the row."""
    began = time.process_time()
    tv_sha256 = store.write_tv(number, maker.total_variation(item), scan_sha256)
    return {
        "tv_sha256": tv_sha256,
        "tv_bytes": store.path("tv", number).stat().st_size,
        "tv_cpu_s": f"{time.process_time() - began:.1f}",
    }


def _is_sound(store: ItemFolder, part: str, number: int, row: dict[str, Any], check: bool) -> bool:
    """Whether an item's file is listed and there with its size, and, if asked for, its checksum."""
    path, name = store.path(part, number), part.removesuffix("s")
    if not row.get(f"{name}_sha256") or not path.is_file() or path.stat().st_size != int(row[f"{name}_bytes"]):
        return False
    return not check or file_sha256(path) == row[f"{name}_sha256"]


def _told(number: int, row: dict[str, Any], count: int) -> str:
    noise = f"{float(row['photons']):.2g} photons" if row["photons"] else "no noise"
    seconds = float(row["scan_cpu_s"]) + float(row["tv_cpu_s"])
    return f"item {number + 1} of {count}: {row['case']}, {row['views']} views, {noise}, {seconds:.0f} CPU s"

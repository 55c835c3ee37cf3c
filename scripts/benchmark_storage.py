"""Compares storages of prepared cases: .npy files, and zarr v3 with and without sharding and compression.

    python scripts/benchmark_storage.py                                # the sample CT at the size of the paper's cases
    python scripts/benchmark_storage.py --source CT.nii.gz --output storage.json
    python scripts/benchmark_storage.py --folder /mnt/data             # on another disk
    python scripts/benchmark_storage.py --quick

Storages take turns within each repeat and read the same items, so that what else the machine does meets all of them.
A training item is one block of the volume, 24 views of hybrid spacing and the values of 10,000 points, as float32
tensors. Cold means that the files' pages were dropped from the page cache; a virtual disk may keep them elsewhere.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bundle.atomic import atomic_path, check_output  # noqa: E402
from bundle.prepared.lattice import join_blocks  # noqa: E402
from scripts.benchmark import machine, table  # noqa: E402
from scripts.range_server import RangeFileSystem, RangeServer  # noqa: E402
from scripts.storage_case import Case, Item, draw_items, prepare, read_item, to_unit  # noqa: E402
from scripts.storage_formats import STORAGES, OpenCase, Storage  # noqa: E402

SAMPLE = ROOT / "sample_data" / "chest.nii.gz"
Times = dict[str, list[float]]
Row = dict[str, str | int | float]


def files_of(folder: Path) -> list[Path]:
    """All files in a folder and those in it."""
    return [path for path in folder.rglob("*") if path.is_file()]


def drop_from_cache(folder: Path) -> None:
    """Drops the pages of a folder's files from the page cache; none of them may be mapped."""
    for path in files_of(folder):
        file = os.open(path, os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def bytes_from_disk() -> int | None:
    """Bytes that this process made the disk read until now; None where the system does not say."""
    path = Path("/proc/self/io")
    if not path.exists():
        return None
    return next(int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith("read_bytes"))


def time_writes(case: Case, storages: dict[str, Storage], folder: Path, repeats: int) -> Times:
    """Seconds to write the case and flush it to the disk; the last of the repeats stays."""
    seconds: Times = defaultdict(list)
    for repeat in range(repeats):
        for number, (name, storage) in enumerate(storages.items()):
            target = folder / f"{number}-{repeat}"
            os.sync()
            start = time.perf_counter()
            storage.write(target, case.volume, case.projections)
            for path in files_of(target):
                with open(path, "rb") as file:
                    os.fsync(file.fileno())
            seconds[name].append(time.perf_counter() - start)
            target.rename(folder / str(number)) if repeat == repeats - 1 else _remove(target)
    return seconds


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    folder.rmdir()


def time_warm(storages: dict[str, Storage], folder: Path, items: list[Item]) -> tuple[Times, Times]:
    """Seconds per item out of the page cache: of an open case, and with opening it."""
    cases = {name: storage.open(folder / str(number)) for number, (name, storage) in enumerate(storages.items())}
    for case in cases.values():
        case.blocks().sum()
        for item in items:
            read_item(case, item)
    opened: Times = defaultdict(list)
    closed: Times = defaultdict(list)
    for item in items:
        for number, (name, case) in enumerate(cases.items()):
            opened[name].append(_seconds(case, item))
            start = time.perf_counter()
            read_item(storages[name].open(folder / str(number)), item)
            closed[name].append(time.perf_counter() - start)
    return opened, closed


def _seconds(case: OpenCase, item: Item) -> float:
    start = time.perf_counter()
    read_item(case, item)
    return time.perf_counter() - start


def time_cold(storages: dict[str, Storage], folder: Path, items: list[Item]) -> tuple[Times, dict[str, list[int]]]:
    """Seconds and bytes off the disk per item with nothing in the page cache, opening included."""
    seconds: Times = defaultdict(list)
    read: dict[str, list[int]] = defaultdict(list)
    os.sync()
    for item in items:
        for number, (name, storage) in enumerate(storages.items()):
            drop_from_cache(folder / str(number))
            before, start = bytes_from_disk(), time.perf_counter()
            read_item(storage.open(folder / str(number)), item)
            seconds[name].append(time.perf_counter() - start)
            if before is not None:
                read[name].append(bytes_from_disk() - before)
    return seconds, read


def time_volume(case: Case, storages: dict[str, Storage], folder: Path, repeats: int) -> Times:
    """Seconds to open the case and join the whole volume as float32, out of the page cache."""
    seconds: Times = defaultdict(list)
    for _ in range(repeats + 1):
        for number, (name, storage) in enumerate(storages.items()):
            start = time.perf_counter()
            join_blocks(to_unit(storage.open(folder / str(number)).blocks()), case.factors).contiguous()
            seconds[name].append(time.perf_counter() - start)
    return {name: values[1:] for name, values in seconds.items()}


def remote_rows(storages: dict[str, Storage], folder: Path, items: list[Item], delay_s: float) -> Iterator[Row]:
    """What reading items from an object store asks for, and how long it takes."""
    with RangeServer(folder, delay_s) as server:
        system = RangeFileSystem(server.server_port)
        for number, (name, storage) in enumerate(storages.items()):
            if storage.open_remote is None:
                continue
            start = time.perf_counter()
            case = storage.open_remote(system, str(number))
            opening_s, opening = time.perf_counter() - start, server.taken()
            seconds = [_seconds(case, item) for item in items]
            requests, size = server.taken()
            yield {
                "storage": name,
                "requests to open": opening[0],
                "open, ms": 1000 * opening_s,
                "requests per item": requests // len(items),
                "MB per item": size / len(items) / 1e6,
                "item, ms": _ms(seconds),
            }


def compare(
    case: Case, folder: Path, items: int, repeats: int, views: int, points: int, delay_s: float
) -> dict[str, list[Row]]:
    """Rows of both tables: local files and object storage."""
    storages = {name: make() for name, make in STORAGES.items()}
    drawn = draw_items(case, items, views, points)
    few = drawn[: max(items // 8, 2)]
    written = time_writes(case, storages, folder, repeats)
    opened, closed = time_warm(storages, folder, drawn)
    cold, read = time_cold(storages, folder, few)
    volume = time_volume(case, storages, folder, repeats)
    rows: list[Row] = []
    for number, name in enumerate(storages):
        files = files_of(folder / str(number))
        rows.append(
            {
                "storage": name,
                "item, ms": _ms(opened[name]),
                "90 %": _ms(opened[name], 0.9),
                "with opening, ms": _ms(closed[name]),
                "cold, ms": _ms(cold[name]),
                "cold 90 %": _ms(cold[name], 0.9),
                "cold, MB off the disk": float(np.mean(read[name])) / 1e6 if read[name] else "unavailable",
                "whole volume, ms": _ms(volume[name]),
                "write, ms": _ms(written[name]),
                "MB per case": sum(path.stat().st_size for path in files) / 1e6,
                "files per case": len(files),
            }
        )
    return {"local": rows, "object storage": list(remote_rows(storages, folder, few, delay_s))}


def _ms(seconds: list[float], quantile: float = 0.5) -> float:
    return 1000 * float(np.quantile(seconds, quantile))


def rounded(rows: list[Row]) -> list[dict[str, str]]:
    """Rows as text, with three digits or so."""
    return [{name: _text(value) for name, value in row.items()} for row in rows]


def _text(value: str | int | float) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def main() -> None:
    """Prepares a case, compares the storages and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=SAMPLE, help="CT volume")
    parser.add_argument("--size", type=int, default=256, help="voxels and pixels per side")
    parser.add_argument("--candidates", type=int, default=200, help="stored views")
    parser.add_argument("--views", type=int, default=24, help="views of an item")
    parser.add_argument("--points", type=int, default=10000, help="points of an item")
    parser.add_argument("--items", type=int, default=160, help="items from the page cache; an eighth of them cold")
    parser.add_argument("--repeats", type=int, default=5, help="writes, and readings of the whole volume")
    parser.add_argument("--delay_ms", type=float, default=20.0, help="of every answer of the object store")
    parser.add_argument("--folder", type=Path, help="where to store cases meanwhile; the system's temporary folder")
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    parser.add_argument("--overwrite", action="store_true", help="replace it")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.size, chosen.candidates, chosen.items, chosen.repeats = 32, 30, 16, 1
    if chosen.output is not None:
        check_output(chosen.output, chosen.overwrite, (".json",))
    case = prepare(chosen.source, chosen.size, chosen.candidates)
    torch.set_num_threads(1)  # what workers of data loaders have
    numbers = (chosen.items, chosen.repeats, chosen.views, chosen.points, chosen.delay_ms / 1000)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        results: dict[str, Any] = dict(compare(case, Path(folder), *numbers))
    versions = [f"{package} {importlib.metadata.version(package)}" for package in ("numpy", "zarr", "numcodecs")]
    results["machine"] = f"{datetime.date.today()}; {machine()} {', '.join(versions)}."
    results["case"] = f"{chosen.source.name}, {chosen.size}^3 voxels, {chosen.candidates} views of {chosen.size}^2"
    results["MB asked for"] = (case.volume[0].nbytes + chosen.views * case.projections[0].nbytes) / 1e6
    print(f"{results['machine']}\n{results['case']}; an item is {results['MB asked for']:.2f} MB.\n")
    print(table(rounded(results["local"])))
    print(f"\nObject store, {chosen.delay_ms:g} ms per answer:\n\n{table(rounded(results['object storage']))}")
    if chosen.output is not None:
        with atomic_path(chosen.output) as temporary:
            temporary.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
